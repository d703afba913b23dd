"""Notices between processes: the database makes up for lost ones, and late ones are old news."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from conversations import claims, switches, turns, waits
from conversations.attempts import Claim
from conversations.broadcast import conversation_topic, publish
from conversations.database import in_database
from conversations.models import Conversation, Generation, WaitingReason
from conversations.queueing import Order, Started
from conversations.runtime import get_runtime
from conversations.verdicts import Postpone
from tests.conversations.conftest import OpenSocket, Socket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conversations.following.RECONCILE_SECONDS", 0.05)


def begin_elsewhere(conversation: Conversation, turn_id: uuid.UUID) -> tuple[Started, Claim]:
    """A question whose attempt another process makes, which tells nobody of it."""
    started = turns.start_turn(
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        turn_id=turn_id,
        order=Order("Hello", "demo:0-5-0"),
    )
    claimed = claims.claim(started.generation_id, owner="another process", prepared=started.claim)
    assert isinstance(claimed, Claim)
    return started, claimed


def put_off(claimed: Claim, reason: WaitingReason, seconds: float) -> None:
    assert isinstance(
        waits.postpone(claimed, Postpone(reason, seconds, "nobody", "rate_limited")), Generation
    )


async def test_it_tells_a_wait_and_its_changes_although_the_notices_were_lost(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    turn_id = uuid.uuid4()
    started, claimed = await in_database(begin_elsewhere, conversation, turn_id)
    socket = await open_socket(conversation.pk, alice_key)
    await socket.until("generation.started")
    await in_database(put_off, claimed, WaitingReason.CHOICE, 300)
    waiting = await socket.until("generation.waiting")
    assert (waiting["reason"], waiting["generation_id"]) == ("choice", str(started.generation_id))
    assert "schedule" in [option["action"] for option in waiting["options"]]
    await in_database(
        switches.schedule_turn,
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        turn_id=turn_id,
    )
    assert (await socket.until("generation.waiting"))["reason"] == "scheduled"
    # Once each.
    await _compare_again()
    await socket.send("ping")
    await socket.until("pong")
    assert [event["type"] for event in socket.events].count("generation.waiting") == 2


async def test_it_says_nothing_of_the_past_when_the_next_attempt_has_begun(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    _, claimed = await in_database(begin_elsewhere, conversation, uuid.uuid4())
    socket = await open_socket(conversation.pk, alice_key)
    await socket.until("generation.started")
    await in_database(put_off, claimed, WaitingReason.RETRY, 60)
    assert (await socket.until("generation.waiting"))["reason"] == "retry"
    past = timezone.now() - timedelta(seconds=1)
    await in_database(Generation.objects.filter(pk=claimed.generation_id).update, run_after=past)
    assert await in_database(claims.claim, claimed.generation_id, owner="a third one")
    assert (await socket.until("generation.started"))["epoch"] == 2


async def test_a_start_that_is_told_after_the_end_is_old_news(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-5-0")
    end = await socket.until_end()
    before = _of(socket, end["generation_id"])
    late = {
        "type": "notice.started",
        **{key: end[key] for key in ("generation_id", "turn_id")},
        "conversation_id": str(conversation.pk),
        "model": "demo:0-5-0",
        "notes": [],
        "epoch": 1,
    }
    await publish(conversation_topic(conversation.pk), late)
    await _compare_again()
    await socket.send("ping")
    await socket.until("pong")
    assert _of(socket, end["generation_id"]) == before


async def _compare_again() -> None:
    """What is followed is compared with the database more than once."""
    for _ in range(3):
        await get_runtime().following.reconcile()


def _of(socket: Socket, generation_id: str) -> list[Any]:
    return [event["type"] for event in socket.events if event.get("generation_id") == generation_id]
