"""The dashboard that ships: every metric and label it names is one that the site gives."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from django.contrib.auth.models import User
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard
from prometheus_client import CollectorRegistry

from billing.rollups import fold_pending
from conversations.call_hours import roll_up_calls
from conversations.models import Conversation, Generation
from monitoring.http_counts import RequestCounts
from monitoring.metrics import SiteCollector
from monitoring.models import BooksCheck, Incident
from tests.billing import play
from tests.conversations.test_calls import ask
from tests.monitoring.conftest import MakeCalls

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "chatsite.json"
VARIABLE = re.compile(r"label_values\((\w+), (\w+)\)")
LEGEND = re.compile(r"\{\{(\w+)\}\}")


@dataclass
class Asked:
    """What an expression reads: metrics with the labels that it names of them, and the labels of its result
    (None = those of the metrics).
    """

    metrics: dict[str, set[str]]
    labels: set[str] | None


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def targets() -> list[dict[str, str]]:
    return [target for panel in board()["panels"] for target in panel.get("targets", [])]


def asked(text: str) -> Asked:
    """Parsed as Prometheus does, with its types; raises ValueError. Grafana's variables are filled in."""
    expression = promql_parser.parse(text.replace("$__rate_interval", "5m"))
    found = Asked({}, None)

    def selector(node: promql_parser.VectorSelector) -> None:
        labels = {matcher.name for matcher in node.matchers.matchers}
        found.metrics.setdefault(node.name or "", set()).update(labels)

    def aggregate(node: promql_parser.AggregateExpr) -> None:
        names = set(node.modifier.labels) if node.modifier else set()
        inner = asked(str(node.expr))
        for metric in inner.metrics:
            found.metrics.setdefault(metric, set()).update(names)

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            selector(node.vector_selector)
        elif isinstance(node, promql_parser.VectorSelector):
            selector(node)
        elif isinstance(node, promql_parser.AggregateExpr):
            aggregate(node)

    promql_parser.walk(expression, visit)
    found.labels = result_labels(expression)
    return found


def result_labels(node: Any) -> set[str] | None:
    if isinstance(node, promql_parser.ParenExpr):
        return result_labels(node.expr)
    if isinstance(node, promql_parser.AggregateExpr):
        return set(node.modifier.labels) if node.modifier else set()
    if isinstance(node, promql_parser.BinaryExpr):
        return result_labels(node.lhs)
    if isinstance(node, promql_parser.Call) and node.func.name == "histogram_quantile":
        inner = result_labels(node.args[1])
        return None if inner is None else inner - {"le"}
    return None


@pytest.fixture
def samples(
    calls: MakeCalls, now: Any, alice: User, redis_url: str, transactional_db: None
) -> dict[str, set[str]]:
    """Names of samples and the labels that they have, of a site on which everything has happened."""
    calls(3, first_token_ms=80, duration_ms=900, deltas=9, asked_at=now)
    calls(1, code="rate_limited", outcome="waiting")
    roll_up_calls(now=now)
    play.price()
    play.budget(10_000, scope="everyone", period="month", now=now)
    play.spend(now=now)
    fold_pending()
    BooksCheck.objects.create(checked_at=now, seconds=1)
    Incident.objects.create(rule="silence", subject="x", title="x", opened_at=now, seen_at=now)
    claim = ask(alice)
    Generation.objects.filter(pk=claim.generation_id).update(
        state="waiting", waiting_reason="retry", run_after=now
    )
    assert Conversation.objects.exists()
    counts = RequestCounts()
    counts.note("GET", "/", 200, 0.1)
    counts.flush()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SiteCollector())
    given: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            given.setdefault(sample.name, set()).update(sample.labels)
    return given


def test_every_metric_and_label_of_the_dashboard_is_given(samples: dict[str, set[str]]) -> None:
    for target in targets():
        found = asked(target["expr"])
        for name, labels in found.metrics.items():
            assert name in samples, target
            assert labels <= samples[name], target
        shown = set(LEGEND.findall(target["legendFormat"]))
        given = (
            found.labels if found.labels is not None else set().union(*(samples[m] for m in found.metrics))
        )
        assert shown <= given, target
    for variable in board()["templating"]["list"]:
        if variable["type"] == "query":
            [(name, label)] = VARIABLE.findall(variable["query"]["query"])
            assert label in samples[name]


def test_every_metric_that_is_given_is_shown_or_is_part_of_one(samples: dict[str, set[str]]) -> None:
    """What is worth making is worth showing; sums and counts of histograms belong to their buckets."""
    shown = {name for target in targets() for name in asked(target["expr"]).metrics}
    parts = ("_sum", "_count", "_gsum", "_gcount", "_created")
    hidden = {name for name in samples.keys() - shown if not name.endswith(parts)}
    assert hidden == set()


@pytest.mark.parametrize("wrong", ["sum(rate(x[5m])", "rate(x)", "sum by (a (x)", "x{a=b}"])
def test_what_prometheus_would_refuse_is_refused_here(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the parser has its own words for each
        asked(wrong)


def test_grafanas_own_model_takes_every_member_of_the_file() -> None:
    register_default_plugins()
    given = board()
    for variable in given["templating"]["list"]:
        variable.pop("definition", None)  # the text of a query as Grafana shows it; its model lacks it
    read = json.loads(JSONEncoder().encode(dashboard.Dashboard.from_json(copy.deepcopy(given))))
    assert lost(given, read) == []


def lost(given: Any, read: Any, path: str = "") -> list[str]:
    """Paths of what was given and is not there after reading and writing."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [
            one
            for key, value in given.items()
            for one in (lost(value, read[key], f"{path}.{key}") if key in read else [f"{path}.{key}"])
        ]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        return [
            one
            for number, (a, b) in enumerate(zip(given, read, strict=True))
            for one in lost(a, b, f"{path}[{number}]")
        ]
    return [] if given == read else [path]


def test_panels_have_a_place_a_title_and_a_source() -> None:
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]


def test_the_example_of_prometheus_asks_for_the_right_address() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert config["scrape_configs"][0]["metrics_path"] == "/metrics"
