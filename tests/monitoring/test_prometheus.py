"""The rules for Prometheus that ship: what they read is given, and promtool, where there is one, agrees."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from monitoring.metrics import SiteCollector
from tests.monitoring.promql import asked

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULE_TESTS = Path(__file__).parent / "prometheus" / "alerts_test.yml"
PROMTOOL = shutil.which("promtool")
SHOWN_LABEL = re.compile(r"\$labels\.(\w+)")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="there is no promtool on the PATH")


def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    return found


def rules() -> list[dict[str, Any]]:
    read = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in read["groups"] for rule in group["rules"]]


def promtool(*words: str, text: str | None = None) -> str:
    """What it says; fails where it finds something."""
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_metric_and_label_of_the_rules_is_given(samples: dict[str, set[str]]) -> None:
    given = samples | {"up": {"job"}}
    for rule in rules():
        found = asked(rule["expr"])
        for name, labels in found.metrics.items():
            assert name in given, rule
            assert labels <= given[name], rule
        shown = set(SHOWN_LABEL.findall(" ".join(rule["annotations"].values())))
        assert shown <= (found.labels or set()), rule


def test_the_rules_name_the_job_that_is_scraped() -> None:
    [scrape] = config()["scrape_configs"]
    assert scrape["metrics_path"] == "/metrics"
    jobs = {job for rule in rules() for job in re.findall(r'job="([^"]*)"', rule["expr"])}
    assert jobs == {scrape["job_name"]}
    assert config()["rule_files"] == ["alerts.yml"]


def test_every_rule_is_tried() -> None:
    tried = yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))
    cases = [case for test in tried["tests"] for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert fired == {case["alertname"] for case in cases if not case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules()}


@needs_promtool
def test_promtool_takes_the_files_and_the_rules_fire_when_they_should() -> None:
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml"))
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(PROMETHEUS / "alerts.yml"))
    assert "SUCCESS" in promtool("test", "rules", str(RULE_TESTS))


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_metrics(samples: dict[str, set[str]]) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SiteCollector())
    assert samples
    assert promtool("check", "metrics", text=generate_latest(registry).decode()) == ""
