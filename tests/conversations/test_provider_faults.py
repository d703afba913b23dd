"""What can go wrong with a provider, over real HTTP: state, words, remedies, books."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from pytest_django import Settings

from billing.books import check_books
from billing.models import Hold, LedgerEntry
from conversations.database import in_database
from conversations.models import Conversation, Generation
from conversations.outcomes import ERRORS
from llm.models import ModelProfile, Provider
from llm.profiles import clear_cache
from tests.conversations.conftest import OpenSocket, Socket
from tests.fakes.http_server import Reply, Send
from tests.fakes.provider_server import JSON_HEADERS, ProviderServer
from tests.fakes.wire import Counts, OpenAIDialect

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = ("openai_compatible", "gemini")
MakeModel = Callable[..., str]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ProviderServer]:
    made = ProviderServer()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def model(server: ProviderServer, settings: Settings) -> MakeModel:
    """``model("0-5-0!504x1")`` gives the id of a model of the scripted provider."""
    settings.PROVIDER_HOSTS = ["127.0.0.1"]
    settings.SCRIPTED_API_KEY = "key"

    def make(name: str, kind: str = "openai_compatible", **fields: Any) -> str:
        name_of = {"openai_compatible": "oai", "gemini": "gem"}[kind]
        values = {"kind": kind, "base_url": server.url, "api_key_env": "SCRIPTED_API_KEY"}
        provider, _ = Provider.objects.update_or_create(name=name_of, defaults=values)
        row, _ = ModelProfile.objects.get_or_create(
            provider=provider,
            model_id=f"{name_of}:{name}",
            defaults={"context_window_tokens": 128_000, "max_output_tokens": 8000, **fields},
        )
        clear_cache()
        return row.model_id

    return make


@pytest_asyncio.fixture(autouse=True)
async def books_balance(conversation: Conversation) -> AsyncIterator[None]:
    yield
    assert await in_database(Hold.objects.alive().count) == 0
    assert await in_database(lambda: [finding for finding in check_books() if finding.rows]) == []


@pytest.fixture(autouse=True)
def one_try(settings: Settings) -> None:
    settings.MAX_RETRIES = 0
    settings.FALLBACKS = ["none"]


async def ask(socket: Socket, model_id: str, text: str = "Hello") -> dict[str, Any]:
    await socket.send("turn.create", turn_id=uuid.uuid4(), text=text, model=model_id)
    end: dict[str, Any] = await socket.until_end()
    return end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("400", "bad_request"),
        ("401", "bad_credentials"),
        ("403", "bad_credentials"),
        ("404", "model_gone"),
        ("408", "connection_failed"),
        ("429", "rate_limited"),
        ("credit", "out_of_credit"),
        ("500", "provider_error"),
        ("502", "provider_error"),
        ("503", "provider_overloaded"),
        ("504", "provider_timed_out"),
        ("529", "provider_overloaded"),
        ("die", "connection_failed"),
        ("end@0", "truncated"),
        ("block", "content_blocked"),
        ("cut@0", "cut_empty"),
        ("stall", "first_token_timeout"),
    ],
)
async def test_it_ends_each_fault_in_its_own_words(
    kind: str,
    fault: str,
    code: str,
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    model: MakeModel,
    settings: Settings,
) -> None:
    if fault == "stall":
        settings.FIRST_TOKEN_TIMEOUT_SECONDS = 0.3
    model_id = await in_database(model, f"0-5-0!{fault}", kind)
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, model_id)
    assert (end["type"], end["error"]["code"]) == ("generation.failed", code)
    assert end["error"]["detail"] == ERRORS[code].no_answer
    assert [option["action"] for option in end["error"]["options"]] == [
        option["action"] for option in ERRORS[code].options
    ]
    assert end["receipt"]["charged"] is False
    assert not await in_database(LedgerEntry.objects.filter(bearer="user").exists)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "code"), [("die@3", "connection_failed"), ("end@3", "truncated"), ("stall@3", "stalled")]
)
async def test_it_keeps_what_came_and_says_why_it_broke_off(
    kind: str,
    fault: str,
    code: str,
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    model: MakeModel,
    settings: Settings,
) -> None:
    settings.FIRST_TOKEN_TIMEOUT_SECONDS, settings.STALL_TIMEOUT_SECONDS = 2.0, 0.3
    model_id = await in_database(model, f"0-9-0!{fault}", kind)
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, model_id)
    assert (end["type"], end["error"]["code"]) == ("generation.interrupted", code)
    assert end["text"]
    assert end["error"]["detail"] == ERRORS[code].broke_off
    assert [option["action"] for option in end["error"]["options"]] == ["continue", "retry"]
    assert end["receipt"]["charged"] is False


async def test_it_asks_once_more_when_the_provider_timed_out(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, model: MakeModel
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, await in_database(model, "0-5-0!504x1"))
    assert (end["type"], end["receipt"]["charged"]) == ("generation.completed", True)
    waits = [event for event in socket.events if event["type"] == "generation.waiting"]
    assert [wait["detail"] for wait in waits] == ["oai:0-5-0!504x1 took too long; asking once more."]


async def test_it_sends_less_context_when_it_was_too_long(
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    model: MakeModel,
    server: ProviderServer,
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    model_id = await in_database(model, "0-5-0")
    for number in range(4):
        await ask(socket, model_id, f"Question {number} " + "about rivers " * 40)
    too_long = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    server.script(Reply([Send(json.dumps(too_long).encode())], status=400, headers=JSON_HEADERS))
    end = await ask(socket, model_id, "And now?")
    assert end["type"] == "generation.completed"
    assert end["notes"] == [
        {
            "code": "trimmed",
            "detail": "The conversation was too long for the model; older parts were left out.",
        }
    ]
    refused, taken = (request.json["messages"] for request in server.requests[-2:])
    assert len(taken) < len(refused)
    assert taken[-1] == refused[-1] == {"role": "user", "content": "And now?"}
    # A second time is the end of it.
    for _ in range(2):
        server.script(Reply([Send(json.dumps(too_long).encode())], status=400, headers=JSON_HEADERS))
    end = await ask(socket, model_id, "And then?")
    assert (end["type"], end["error"]["code"]) == ("generation.failed", "context_too_long")


async def test_it_asks_for_less_thinking_when_that_used_up_the_answer(
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    model: MakeModel,
    server: ProviderServer,
) -> None:
    model_id = await in_database(model, "0-5-0", thinking=True)
    wire = OpenAIDialect()
    server.script(Reply([Send(wire.thought("hm")), Send(wire.end("length", Counts(9, 200, 200, 0)))]))
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, model_id)
    assert (end["type"], end["notes"][0]["code"]) == ("generation.completed", "think_less")
    assert [request.json.get("reasoning_effort") for request in server.requests] == [None, "low"]
    # What the first call used is the house's: the person pays for one answer.
    bearers = await in_database(lambda: sorted(LedgerEntry.objects.values_list("bearer", flat=True)))
    assert bearers == ["house", "user"]


async def test_it_passes_the_question_to_another_provider(
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    model: MakeModel,
    server: ProviderServer,
    settings: Settings,
) -> None:
    settings.FALLBACKS = ["model"]
    other = await in_database(model, "0-5-0", "gemini")
    gone = await in_database(model, "0-5-0!404", fallbacks=f"{other}")
    socket = await open_socket(conversation.pk, alice_key)
    end = await ask(socket, gone)
    assert (end["type"], end["receipt"]["model"]) == ("generation.completed", other)
    assert end["notes"][0]["detail"] == "Answered by gem:0-5-0, because oai:0-5-0!404 was retired."
    assert [request.path.rsplit("/", 1)[-1].partition(":")[0] for request in server.requests] == [
        "completions",
        "0-5-0",
    ]
    entry = await in_database(LedgerEntry.objects.get)
    assert (entry.model, entry.bearer) == (other, "user")
    generation = await in_database(Generation.objects.get)
    assert (generation.asked_model, generation.switch_reason) == (gone, "model_gone")


async def test_it_offers_the_reset_of_a_days_quota(
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    model: MakeModel,
    settings: Settings,
) -> None:
    settings.RETRY_PATIENCE_SECONDS = 0  # the day may be about to end
    # The hint of the minute's limit beside it says nothing about the day.
    model_id = await in_database(model, "0-5-0!daily@20", "gemini")
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model=model_id)
    waiting = await socket.until("generation.waiting")
    assert (waiting["reason"], waiting["detail"]) == (
        "choice",
        "gem:0-5-0!daily@20 has reached its daily limit.",
    )
    # Midnight in California is on the hour in UTC.
    assert waiting["retry_at"][14:19] == "00:00"
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()
