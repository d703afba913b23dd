"""The heartbeat: what one answer's text or a database that is away does to the others."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from django.db import OperationalError
from django.utils import timezone

from billing.models import Hold
from conversations import claims, turns
from conversations.attempts import Claim
from conversations.database import close_database_threads, in_database
from conversations.heartbeat import Heartbeat
from conversations.live import LiveStream
from conversations.models import Conversation, Generation
from conversations.queueing import Order
from conversations.running import Attempt

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = 3600.0  # seconds


def claimed(user: User) -> Claim:
    chat = Conversation.objects.create(owner=user)
    order = Order("Hello", "demo:0-5-0")
    started = turns.start_turn(user_id=user.pk, conversation_id=chat.pk, turn_id=uuid.uuid4(), order=order)
    claim = claims.claim(started.generation_id, owner="here", prepared=started.claim)
    assert isinstance(claim, Claim)
    return claim


def attempt_of(claim: Claim) -> Attempt:
    stream = LiveStream(
        generation_id=claim.generation_id,
        conversation_id=claim.conversation_id,
        turn_id=claim.turn_id,
        model=claim.profile.model_id,
        local=True,
    )
    stream.begin(claim.epoch)
    task: asyncio.Task[Any] = asyncio.create_task(asyncio.Event().wait())
    now = time.monotonic()
    return Attempt(claim=claim, stream=stream, task=task, started_at=now, last_event_at=now)


@pytest_asyncio.fixture
async def attempts(alice: User, redis_url: str) -> AsyncIterator[list[Attempt]]:
    """Three of this process, whose leases and holds are about to lapse."""
    made = [attempt_of(await in_database(claimed, alice)) for _ in range(3)]
    soon = timezone.now() + timedelta(seconds=1)
    await in_database(Generation.objects.update, lease_expires_at=soon)
    await in_database(Hold.objects.update, lease_expires_at=soon)
    yield made
    for attempt in made:
        attempt.task.cancel()
    close_database_threads()


def heartbeat_of(attempts: list[Attempt]) -> Heartbeat:
    """One for which it is time to renew."""
    heartbeat = Heartbeat({attempt.claim.generation_id: attempt for attempt in attempts})
    heartbeat._renewed_at -= LONG_AGO
    return heartbeat


async def stored(attempt: Attempt) -> tuple[str, datetime, datetime]:
    """The text and the ends of both leases."""
    row = await in_database(Generation.objects.get, pk=attempt.claim.generation_id)
    hold = await in_database(Hold.objects.get, pk=attempt.claim.hold_id)
    assert row.lease_expires_at is not None
    return row.text, row.lease_expires_at, hold.lease_expires_at


async def test_a_text_that_cannot_be_stored_costs_no_other_its_text_and_lease(
    attempts: list[Attempt], caplog: pytest.LogCaptureFixture
) -> None:
    first, bad, last = attempts
    for attempt, text in ((first, "one"), (bad, "\ud800"), (last, "three")):
        attempt.stream.append(text)
    await heartbeat_of(attempts)._beat()
    later = timezone.now() + timedelta(seconds=10)
    for attempt, text in ((first, "one"), (last, "three")):
        found, *leases = await stored(attempt)
        assert found == text
        assert min(leases) > later
        assert attempt.beaten_seq == 1
        assert attempt.cancelled is None
    assert ((await stored(bad))[0], bad.cancelled) == ("", None)
    assert caplog.text.count("a heartbeat failed") == 1


async def test_leases_that_could_not_be_renewed_are_renewed_at_the_next_beat(
    attempts: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    beat, failures = claims.beat, iter([True])

    def fail_once(*args: Any, **kwargs: Any) -> dict[uuid.UUID, bool]:
        if next(failures, False):
            raise OperationalError
        return beat(*args, **kwargs)

    monkeypatch.setattr(claims, "beat", fail_once)
    for attempt in attempts:
        attempt.stream.append("one")
    heartbeat = heartbeat_of(attempts)
    await heartbeat._beat()
    # A database that is away is not asked once for each of them.
    assert [(await stored(attempt))[0] for attempt in attempts] == ["", "", ""]
    await heartbeat._beat()
    later = timezone.now() + timedelta(seconds=10)
    for attempt in attempts:
        text, *leases = await stored(attempt)
        assert text == "one"
        assert min(leases) > later
    renewed_at = heartbeat._renewed_at
    await heartbeat._beat()
    assert heartbeat._renewed_at == renewed_at


async def test_it_leaves_the_lease_of_what_hears_no_cancellation(attempts: list[Attempt]) -> None:
    deaf, other = attempts[:2]
    deaf.deaf = True
    soon = timezone.now() + timedelta(seconds=2)
    await heartbeat_of(attempts)._beat()
    assert (await stored(deaf))[1] < soon < (await stored(other))[1]
