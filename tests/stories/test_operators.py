"""What operators see of real processes: alerts by webhook, lines without text, metrics that agree."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from conversations.call_hours import roll_up_calls
from conversations.database import in_database
from conversations.models import Conversation
from tests.conversations.providers import add_models
from tests.fakes.http_server import Reply, Send
from tests.fakes.provider_server import ProviderServer
from tests.stories.client import Client
from tests.stories.site import Site

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]

QUESTION = "Why do purple elephants whisper sonnets at midnight?"
REFUSAL = b'{"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}}'


class Hook:
    """An operator's webhook."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def told(self, event: str, rule: str) -> list[dict[str, Any]]:
        return [one for one in self.got if (one["event"], one["rule"]) == (event, rule)]

    def history(self, rule: str) -> dict[str, list[str]]:
        """By subject, the events told of it, oldest first."""
        found: dict[str, list[str]] = {}
        for one in self.got:
            if one["rule"] == rule:
                found.setdefault(one["subject"], []).append(one["event"])
        return found

    def silent(self) -> set[str]:
        """What was last told to have fallen silent."""
        return {subject for subject, events in self.history("silence").items() if events[-1] == "opened"}


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def environment(hook: Hook) -> dict[str, str]:
    return {
        "ALERT_WEBHOOK_URL": hook.url,
        "ALERT_WEBHOOK_HOSTS": "127.0.0.1",
        "ALERT_INTERVAL_SECONDS": "0.5",
        "ALERT_RECOVERY_SECONDS": "0",
        "ALERT_SILENCE_SECONDS": "4",
        "LOG_FORMAT": "json",
        "FALLBACKS": "",
        "PROVIDER_HOSTS": "127.0.0.1",
        "OPENAI_API_KEY": "sk-scripted-0123456789",
    }


async def until(true: Callable[[], Any], *, seconds: float = 40) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.1)


def fetch(address: str, path: str) -> str:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.code)


async def test_a_bad_key_and_its_end_reach_the_operator_and_no_line_holds_text(
    site: Site, hook: Hook, conversation: Conversation, secret: str
) -> None:
    server = ProviderServer()
    await server.start()
    await in_database(add_models, server.url, "friendly")
    settings = environment(hook)
    web, worker = site.start_web(**settings), site.start_worker(**settings)
    server.script(Reply([Send(REFUSAL)], status=401, headers={"Content-Type": "application/json"}))
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text=QUESTION, model="openai:friendly")
        assert (await client.until_end())["error"]["code"] == "bad_credentials"
        await until(lambda: hook.told("opened", "bad_credentials"))
        [told] = hook.told("opened", "bad_credentials")
        assert told["subject"] == "openai"
        answers = []
        for model in ("demo:friendly", "demo:0-5-0!429x1@1"):
            await client.send("turn.create", turn_id=uuid.uuid4(), text=QUESTION, model=model)
            answers.append((await client.until_end())["text"])
    metrics = fetch(web.address, "/metrics")
    assert 'chatsite_incidents_open{rule="bad_credentials"} 1.0' in metrics
    await server.stop()
    written = web.read_log() + worker.read_log()
    # Celery prints a few words of its own before and after.
    worker_lines = [line for line in worker.read_log().splitlines() if line.startswith("{")]
    lines = [json.loads(line) for line in (*web.read_log().splitlines(), *worker_lines)]
    states = [line["state"] for line in lines if line["logger"] == "conversations.states" and "state" in line]
    assert {"queued", "running", "streaming", "waiting", "completed", "failed"} <= set(states)
    assert all(line["generation_id"] for line in lines if "state" in line)
    assert {line["event"] for line in lines} >= {"alert opened: openai refuses its API key"}
    for text in (QUESTION, *answers):
        assert [piece for piece in text.split(". ") if len(piece) > 12 and piece in written] == []
    assert "sk-scripted" not in written


async def test_a_web_process_tells_of_a_killed_worker_and_of_its_return(site: Site, hook: Hook) -> None:
    settings = environment(hook)
    web, worker = site.start_web(**settings), site.start_worker(**settings)

    def readiness() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(fetch(web.address, "/readyz"))
        return found

    def all_is_well() -> bool:
        """A slow start may have been told of as a silence that is over by now."""
        heard = readiness()
        return (heard["worker"], heard["sweeper"], hook.silent()) == ("ok", "ok", set())

    await until(all_is_well)
    worker.kill()
    # A notice that the worker was just delivering is free again after a minute.
    await until(lambda: hook.silent() == {"worker", "sweeper"}, seconds=100)
    found = readiness()
    assert (found["status"], found["worker"], found["sweeper"]) == ("ok", "silent", "silent")
    assert "silent for" in found["why"]["worker"]
    site.start_worker(**settings)
    await until(lambda: not hook.silent())
    assert readiness()["worker"] == "ok"
    for events in hook.history("silence").values():
        assert events == ["opened", "recovered"] * (len(events) // 2)  # each incident is told of once


async def test_two_web_processes_give_the_same_metrics(
    site: Site, hook: Hook, conversation: Conversation, secret: str
) -> None:
    # No worker runs here: that it is silent must not become an alert between the two answers.
    settings = {**environment(hook), "ALERT_SILENCE_SECONDS": "600"}
    one, two = site.start_web(**settings), site.start_web(**settings)
    async with Client(one.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-5-0")
        await client.until_end()
    assert await in_database(roll_up_calls) > 0
    for web in (one, two):
        assert fetch(web.address, "/api/v1/models/") == "401"
    requests = 'chatsite_http_requests_total{area="api",method="GET",status="401"} 2.0'
    # Each process adds its counts to the shared ones within its interval.
    await until(lambda: requests in fetch(one.address, "/metrics"))
    first, second = fetch(one.address, "/metrics"), fetch(two.address, "/metrics")
    labels = 'code="",model="demo:0-5-0",outcome="completed",provider="demo",purpose="answer"'
    assert f"chatsite_calls_total{{{labels}}} 1.0" in first
    assert first == second
