"""The dashboard that ships: every metric and label it names is one that the site gives."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.contrib.auth.models import User
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
NAME = re.compile(r"\bchatsite_[a-z0-9_]+\b")
SELECTOR = re.compile(r"(chatsite_[a-z0-9_]+)\{([^}]*)\}")
BY = re.compile(r"by \(([^)]*)\) \((?:rate|delta)\((chatsite_[a-z0-9_]+)")


def expressions() -> list[str]:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return found + [
        variable["definition"] for variable in board["templating"]["list"] if "definition" in variable
    ]


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
    unknown = {name for text in expressions() for name in NAME.findall(text)} - samples.keys()
    assert unknown == set()
    for text in expressions():
        for name, selector in SELECTOR.findall(text):
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= samples[name], text
        for labels, name in BY.findall(text):
            assert {label.strip() for label in labels.split(",")} <= samples[name], text


def test_every_metric_that_is_given_is_shown_or_is_part_of_one(samples: dict[str, set[str]]) -> None:
    """What is worth making is worth showing; sums and counts of histograms belong to their buckets."""
    shown = {name for text in expressions() for name in NAME.findall(text)}
    parts = ("_sum", "_count", "_gsum", "_gcount", "_created")
    hidden = {name for name in samples.keys() - shown if not name.endswith(parts)}
    assert hidden == set()


def test_panels_have_a_place_a_title_and_a_source() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"]


def test_the_example_of_prometheus_asks_for_the_right_address() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    assert config["scrape_configs"][0]["metrics_path"] == "/metrics"
