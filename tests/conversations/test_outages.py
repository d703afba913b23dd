"""Questions that wait until their service recovers."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from billing.models import Hold
from conversations import fallbacks
from conversations.database import in_database
from conversations.models import Conversation, Generation, State
from conversations.models.call import CallRecord
from conversations.sweeper import sweep_once
from tests.conversations.conftest import OpenSocket
from tests.conversations.failing import DOWN, ask

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_patience", "books_balance"),
]


async def test_it_queues_until_the_service_recovers(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, "demo:0-9-0!503x1")
    waiting = await socket.until("generation.waiting")
    assert waiting["reason"] == "outage"
    assert waiting["detail"].startswith("Demo 0-9-0!503x1 is not answering. Your question is kept")
    assert waiting["gives_up_at"] > waiting["retry_at"]
    assert [option["action"] for option in waiting["options"]][-1] == "stop"
    # Nobody else has been answered: it goes on waiting.
    assert await in_database(fallbacks.wake_recovered, now=timezone.now(), limit=10) == 0
    await in_database(_record_answer, waiting["generation_id"], "demo:0-9-0!503x1")
    swept = await in_database(sweep_once)
    assert swept.woken == 1
    generation = await in_database(Generation.objects.get, pk=waiting["generation_id"])
    assert generation.run_after is not None
    assert generation.run_after <= timezone.now()


async def test_those_that_waited_for_a_service_do_not_come_all_at_once(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket
) -> None:
    chats = [conversation, await in_database(lambda: Conversation.objects.create(owner=alice))]
    model = "demo:0-9-0!503x1"
    ids = []
    for chat in chats:
        socket = await open_socket(chat.pk, alice_key)
        await ask(socket, model)
        ids.append((await socket.until("generation.waiting"))["generation_id"])
    await in_database(_record_answer, ids[0], model)
    now = timezone.now()
    assert await in_database(fallbacks.wake_recovered, now=now, limit=10) == 2
    due = await in_database(lambda: {row.run_after for row in Generation.objects.all()})
    assert due == {now, now + timedelta(seconds=fallbacks.WAKE_STEP_SECONDS)}


def _record_answer(generation_id: str, model: str) -> None:
    """Somebody else got an answer from the model, a moment after this one was put off."""
    CallRecord.objects.create(
        generation_id=uuid.uuid4(),
        attempt=1,
        provider="demo",
        model=model,
        purpose="answer",
        outcome=State.COMPLETED,
        is_retry=False,
        is_fallback=False,
        ended_at=timezone.now(),
        input_estimate_tokens=1,
    )


async def test_it_gives_up_in_plain_words_when_the_outage_lasts(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.OUTAGE_QUEUE_SECONDS = 5.0
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, DOWN)
    end = await socket.until_end()
    assert (end["type"], end["error"]["code"]) == ("generation.failed", "provider_overloaded")
    assert end["error"]["detail"] == "AI is unavailable: the model is overloaded. Your question is kept."
    assert [option["action"] for option in end["error"]["options"]] == ["retry", "regenerate"]
    assert end["receipt"]["charged"] is False


async def test_it_holds_nothing_while_it_waits_long(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-9-0!429@700")
    await socket.until("generation.waiting")
    assert await in_database(Hold.objects.alive().count) == 0
    await socket.send("turn.stop", turn_id=turn_id)
    assert (await socket.until_end())["type"] == "generation.stopped"
