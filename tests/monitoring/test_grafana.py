"""The dashboard that ships: every metric and label it names is one that the site gives."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard

from conversations.calls import REQUEST_CODES
from tests.monitoring.promql import asked

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "chatsite.json"
VARIABLE = re.compile(r"label_values\((\w+), (\w+)\)")
LEGEND = re.compile(r"\{\{(\w+)\}\}")


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def targets() -> list[dict[str, str]]:
    return [target for panel in board()["panels"] for target in panel.get("targets", [])]


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


def test_what_the_request_itself_brought_about_is_no_fault_here_either() -> None:
    matchers = re.findall(r'code[=!]~"\|([a-z_|]+)"', " ".join(target["expr"] for target in targets()))
    assert len(matchers) == 2
    assert {frozenset(codes.split("|")) for codes in matchers} == {REQUEST_CODES}


def test_a_share_of_nothing_that_matches_is_nought_and_not_missing() -> None:
    """sum() of no series is no value at all: a site without a fault would show "No data"."""
    for target in targets():
        narrowed = [
            part for part in target["expr"].split(" / ") if re.search(r"sum\(rate\([^{]*\{code", part)
        ]
        assert all("or vector(0)" in part for part in narrowed), target
