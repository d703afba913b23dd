"""The real clients (google-genai, the lean one) from a real server against a scripted provider over HTTP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User

from billing.models import Bucket, Hold, LedgerEntry
from billing.prices import TierPrice, set_price
from conversations.database import in_database
from conversations.models import Conversation, Generation
from llm.models import Provider
from llm.profiles import add_model
from tests.balance import assert_books_balance
from tests.forking import ROOT
from tests.stories.client import Client
from tests.stories.site import Site

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]

PROVIDERS = ("openai", "gemini")


class Upstream:
    """The scripted provider in a process of its own."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.provider_server", "--port", "0", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]

    def requests(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/requests", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def environment(self) -> dict[str, str]:
        return {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "GEMINI_API_KEY": "test-key",
            "GEMINI_BASE_URL": self.url,
        }


@pytest.fixture
def upstream(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    made = Upstream(*getattr(request, "param", ()))
    yield made
    made.process.kill()
    made.process.wait()


@pytest.fixture
def conversation(alice: User) -> Conversation:
    for name, kind in (("openai", "openai_compatible"), ("gemini", "gemini")):
        Provider.objects.get_or_create(
            name=name, defaults={"kind": kind, "api_key_env": f"{name.upper()}_API_KEY"}
        )
        for model in ("0-200-5", "100-40-0!429x1@1", "0-50-0"):
            add_model(model_id=f"{name}:{model}", context_window_tokens=32_000, max_output_tokens=8_000)
            set_price(model=f"{name}:{model}", tiers=[TierPrice(100_000, 400_000)])
    return Conversation.objects.create(owner=alice)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_it_streams_meters_and_sends_the_held_length(
    provider: str, site: Site, upstream: Upstream, conversation: Conversation, secret: str
) -> None:
    web = await asyncio.to_thread(site.start_web, **upstream.environment())
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model=f"{provider}:0-50-0")
        accepted = await client.until("turn.accepted")
        end = await client.until_end()
    assert end["type"] == "generation.completed"
    assert client.text(end["generation_id"]) == end["text"]
    assert (end["receipt"]["output_tokens"], end["receipt"]["estimated"]) == (50, False)
    [request] = await asyncio.to_thread(upstream.requests)
    hold = await in_database(Hold.objects.get)
    assert str(hold.output_cap_tokens) in json.dumps(request)
    assert accepted["estimate"]["max_output_tokens"] == hold.output_cap_tokens
    await assert_books_balance()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_it_closes_the_providers_connection_when_the_person_stops(
    provider: str, site: Site, upstream: Upstream, conversation: Conversation, secret: str
) -> None:
    web = await asyncio.to_thread(site.start_web, **upstream.environment())
    async with Client(web.address, conversation.pk, secret) as client:
        turn_id = uuid.uuid4()
        await client.send("turn.create", turn_id=turn_id, text="Hello", model=f"{provider}:0-200-5")
        await client.until_seq(10 if provider == "openai" else 2)
        await client.send("turn.stop", turn_id=turn_id)
        end = await client.until_end()
    assert end["type"] == "generation.stopped"
    async with asyncio.timeout(10):
        while not (await asyncio.to_thread(upstream.requests))[0]["closed_at"]:
            await asyncio.sleep(0.02)
    await assert_books_balance()


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_it_waits_for_the_hint_of_a_rate_limit_and_then_answers(
    provider: str, site: Site, upstream: Upstream, conversation: Conversation, secret: str
) -> None:
    web = await asyncio.to_thread(site.start_web, **upstream.environment())
    await asyncio.to_thread(site.start_worker, **upstream.environment())
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send(
            "turn.create", turn_id=uuid.uuid4(), text="Hello", model=f"{provider}:100-40-0!429x1@1"
        )
        waiting = await client.until("generation.waiting")
        end = await client.until_end()
    assert waiting["reason"] == "rate_limit"
    assert end["type"] == "generation.completed"
    generation = await in_database(Generation.objects.get)
    assert generation.attempts == 2
    assert await in_database(LedgerEntry.objects.count) == 1
    await assert_books_balance()


@pytest.mark.parametrize("upstream", [("--ignore-cap",)], indirect=True)
@pytest.mark.parametrize("provider", ["openai"])
async def test_it_cuts_an_upstream_that_ignores_the_length(
    provider: str, site: Site, upstream: Upstream, conversation: Conversation, secret: str
) -> None:
    web = await asyncio.to_thread(site.start_web, **upstream.environment())
    async with Client(web.address, conversation.pk, secret) as client:
        await client.send(
            "turn.create",
            turn_id=uuid.uuid4(),
            text="Hello",
            model=f"{provider}:0-200-5",
            max_output_tokens=20,
        )
        end = await client.until_end()
    assert (end["type"], end["finish_reason"], end["seq"]) == ("generation.completed", "length", 20)
    assert end["receipt"]["output_tokens"] <= 20
    assert await in_database(lambda: set(Bucket.objects.values_list("slack", flat=True))) == {0}
    await assert_books_balance()
