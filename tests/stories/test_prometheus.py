"""A real Prometheus scrapes a running site: each expression that ships gives data with the right labels.

Needs a ``prometheus`` on the PATH (Debian has a package of this name); skipped without one.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from billing.budgets import set_budget
from billing.rollups import fold_pending
from chatsite.valkey import find_free_port
from conversations.call_hours import roll_up_calls
from conversations.database import in_database
from conversations.models import Conversation
from monitoring.books import check_all
from tests.monitoring.promql import asked
from tests.monitoring.test_grafana import LEGEND, targets
from tests.monitoring.test_prometheus import rules
from tests.stories.client import Client
from tests.stories.site import Site

PROGRAM = shutil.which("prometheus")

pytestmark = [
    pytest.mark.story,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PROGRAM is None, reason="there is no prometheus on the PATH"),
]

# Shown only while something of the kind goes on, or is wrong.
MAY_BE_EMPTY = {"waiting: {{reason}}"}


class Prometheus:
    """One that scrapes ``address`` every second, and is asked over its API."""

    def __init__(self, address: str, folder: Path) -> None:
        assert PROGRAM is not None
        config = folder / "prometheus.json"  # JSON is YAML
        scrape = {"job_name": "chatsite", "static_configs": [{"targets": [address]}]}
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
        port = find_free_port()
        self._api = f"http://127.0.0.1:{port}/api/v1/"
        self.process = subprocess.Popen(
            [
                PROGRAM,
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def get(self, path: str, **query: str) -> Any:
        """Its data. Raises AssertionError where it does not take the question, OSError while it starts."""
        try:
            with urllib.request.urlopen(f"{self._api}{path}?{urlencode(query)}", timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def ask(self, expression: str) -> list[dict[str, str]]:
        """The labels of each series that it gives."""
        filled = expression.replace("$__rate_interval", "1m").replace("$model", ".*")
        return [one["metric"] for one in self.get("query", query=filled)["result"]]

    async def until(self, expression: str) -> None:
        """Until it gives something."""
        async with asyncio.timeout(60):
            while True:
                try:
                    if await asyncio.to_thread(self.ask, expression):
                        return
                except OSError:
                    pass  # it starts
                await asyncio.sleep(0.2)


@contextmanager
def prometheus(address: str, folder: Path) -> Iterator[Prometheus]:
    folder.mkdir()
    running = Prometheus(address, folder)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(30)


async def talk(address: str, conversation: Conversation, secret: str) -> None:
    """A request, a good answer, one after a retry, and one that fails; then the worker's sums."""
    with suppress(urllib.error.HTTPError):  # nobody is signed in: that is an answer too
        await asyncio.to_thread(urllib.request.urlopen, f"http://{address}/api/v1/models/", timeout=10)
    async with Client(address, conversation.pk, secret) as client:
        for model in ("demo:friendly", "demo:5-3-1!500x1", "demo:5-3-1!block"):
            await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model=model)
            await client.until_end()
    await in_database(roll_up_calls)
    await in_database(fold_pending)


async def test_every_expression_that_ships_gives_data_with_its_labels(
    site: Site, conversation: Conversation, secret: str, tmp_path: Path
) -> None:
    await in_database(set_budget, scope="everyone", unit="tokens", limit_units=10**6, period="month")
    web = site.start_web(FALLBACKS="")
    site.start_worker(FALLBACKS="")
    await talk(web.address, conversation, secret)
    await in_database(check_all)
    with prometheus(web.address, tmp_path / "prometheus") as asks:
        await asks.until('chatsite_calls_total{code="content_blocked"}')
        await talk(web.address, conversation, secret)  # rates need a change between two scrapes
        await asks.until('increase(chatsite_calls_total{code="content_blocked"}[1m]) > 0')
        for target in targets():
            found = await asyncio.to_thread(asks.ask, target["expr"])
            assert found or target["legendFormat"] in MAY_BE_EMPTY, target
            shown = set(LEGEND.findall(target["legendFormat"])) - {"model"}  # "" of a budget for all models
            assert all(shown <= labels.keys() for labels in found), (target, found)
        models = await asyncio.to_thread(
            lambda: asks.get("label/model/values", **{"match[]": "chatsite_calls_total"})
        )
        assert set(models) >= {"demo:friendly", "demo:5-3-1!500x1"}
        for rule in rules():
            await asyncio.to_thread(asks.ask, rule["expr"])
            labels = asked(rule["expr"]).labels or set()
            for metric in asked(rule["expr"]).metrics:
                if metric != "chatsite_incidents_open":  # there is one only while something is wrong
                    found = await asyncio.to_thread(asks.ask, metric)
                    assert found, (rule, metric)
                    assert all(labels <= one.keys() for one in found), (rule, found)
