"""When no model answers, an earlier answer to the same question may."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from billing.models import LedgerEntry
from conversations.database import in_database
from conversations.models import ApiKey, Conversation, Generation
from tests.conversations.conftest import OpenSocket
from tests.conversations.failing import DOWN, GOOD, ask

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_patience", "books_balance"),
]


async def earlier_answer(owner: User, *, model: str, secret: str, open_socket: OpenSocket) -> dict[str, Any]:
    """The answer to Hello as the first question of another chat, when the model was up."""
    chat = await in_database(Conversation.objects.create, owner=owner)
    socket = await open_socket(chat.pk, secret)
    await ask(socket, GOOD)
    end: dict[str, Any] = await socket.until_end()
    request = await in_database(Generation.objects.get, pk=end["generation_id"])
    # The demo's faults are part of its names: give the answer the request of the name that fails.
    probe = await open_socket((await in_database(Conversation.objects.create, owner=owner)).pk, secret)
    turn_id = await ask(probe, model)
    accepted = await probe.until("turn.accepted")
    await probe.until("generation.waiting")
    await probe.send("turn.stop", turn_id=turn_id)
    await probe.until_end()
    asked = await in_database(Generation.objects.get, pk=accepted["generation_id"])
    await in_database(
        Generation.objects.filter(pk=request.pk).update, request_hash=asked.request_hash, model=model
    )
    return end


async def test_it_shows_the_earlier_answer_to_the_same_question_for_nothing(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket
) -> None:
    earlier = await earlier_answer(alice, model=DOWN, secret=alice_key, open_socket=open_socket)
    entries = await in_database(LedgerEntry.objects.count)
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, DOWN)
    end = await socket.until_end()
    assert (end["type"], end["finish_reason"]) == ("generation.completed", "cached")
    assert (end["text"], end["html"]) == (earlier["text"], earlier["html"])
    assert (end["receipt"]["total_tokens"], end["receipt"]["charged"]) == (0, False)
    (note,) = end["notes"]
    assert note["code"] == "cached"
    assert note["since"].endswith("Z")
    assert await in_database(LedgerEntry.objects.count) == entries
    # Asked again on purpose, the person wants another answer than that.
    await socket.send("turn.regenerate", turn_id=turn_id, generation_id=uuid.uuid4(), model=GOOD)
    assert (await socket.until_end())["receipt"]["charged"] is True


@pytest.mark.parametrize(
    "change", ["text", "model", "temperature", "max_output_tokens", "person", "age", "system"]
)
async def test_it_shows_no_answer_to_anything_else(
    change: str,
    conversation: Conversation,
    alice: User,
    charlie: User,
    alice_key: str,
    open_socket: OpenSocket,
    settings: Settings,
) -> None:
    settings.FALLBACKS = ["cached", "queue"]
    await earlier_answer(alice, model=DOWN, secret=alice_key, open_socket=open_socket)
    secret, chat, model = alice_key, conversation, DOWN
    fields: dict[str, Any] = {}
    if change == "text":
        fields["text"] = "Hello!"
    elif change == "model":
        model = "demo:0-8-0!503"
    elif change == "temperature":
        fields["temperature"] = 0.1
    elif change == "max_output_tokens":
        fields["max_output_tokens"] = 999
    elif change == "person":
        secret = (await in_database(ApiKey.create, user=charlie))[1]
        chat = await in_database(Conversation.objects.create, owner=charlie)
    elif change == "age":
        settings.CACHED_ANSWER_SECONDS = 0.0
    else:
        await in_database(Conversation.objects.filter(pk=chat.pk).update, system_prompt="Be brief.")
    socket = await open_socket(chat.pk, secret)
    turn_id = await ask(socket, model, **fields)
    waiting = await socket.until("generation.waiting")
    assert waiting["reason"] == "outage"
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()
