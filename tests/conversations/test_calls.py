"""Records of provider calls: one row an attempt, whatever became of it, and never a word of text."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from conversations import claims, endings, turns, waits
from conversations.attempts import Claim, Outcome
from conversations.models import CallRecord, Conversation, Generation, State, WaitingReason
from conversations.queueing import Order, Started
from conversations.sweeper import sweep_once
from conversations.verdicts import Postpone
from llm.usage import Usage
from tests.conversations.conftest import OpenSocket

pytestmark = pytest.mark.django_db(transaction=True)


def ask(user: User, model: str = "demo:0-5-0") -> Claim:
    conversation = Conversation.objects.create(owner=user)
    order = Order("Hello", model)
    started: Started = turns.start_turn(
        user_id=user.pk, conversation_id=conversation.pk, turn_id=uuid.uuid4(), order=order
    )
    claimed = claims.claim(started.generation_id, owner="test", prepared=started.claim)
    assert isinstance(claimed, Claim)
    return claimed


def test_it_records_a_good_call_with_its_times_and_counts(alice: User) -> None:
    claim = ask(alice)
    usage = Usage(input_tokens=12, output_tokens=5)
    outcome = Outcome(
        State.COMPLETED, text="a b c d e", seq=5, usage=usage, first_token_ms=20, duration_ms=60
    )
    assert endings.finish(claim, outcome) is not None
    record = CallRecord.objects.get()
    assert record.generation_id == claim.generation_id
    assert (record.provider, record.model, record.purpose) == ("demo", "demo:0-5-0", "answer")
    assert (record.outcome, record.code, record.attempt, record.is_retry) == ("completed", "", 1, False)
    assert (record.first_token_ms, record.duration_ms, record.token_interval_ms) == (20, 60, 10)
    assert (record.input_tokens, record.output_tokens) == (12, 5)
    assert record.input_estimate_tokens == claim.input_estimate_tokens > 0
    assert record.started_at == record.ended_at - timedelta(milliseconds=60)
    assert record.answer_ms is not None


def test_it_records_an_attempt_that_is_put_off_and_the_one_after_it(alice: User) -> None:
    claim = ask(alice)
    waits.postpone(claim, Postpone(WaitingReason.RATE_LIMIT, 0, "nobody", "rate_limited"), duration_ms=7)
    again = claims.claim(claim.generation_id, owner="test")
    assert isinstance(again, Claim)
    endings.finish(again, Outcome(State.FAILED, error_code="provider_error", charge="nobody", duration_ms=3))
    first, second = CallRecord.objects.order_by("pk")
    assert (first.outcome, first.code, first.is_retry, first.duration_ms) == (
        "waiting",
        "rate_limited",
        False,
        7,
    )
    assert (second.outcome, second.code, second.is_retry, second.attempt) == (
        "failed",
        "provider_error",
        True,
        2,
    )
    assert second.answer_ms is None


def test_it_records_nothing_for_a_claim_that_was_lost(alice: User) -> None:
    claim = ask(alice)
    Generation.objects.filter(pk=claim.generation_id).update(epoch=2)
    assert endings.finish(claim, Outcome(State.COMPLETED, text="x", seq=1)) is None
    assert not CallRecord.objects.exists()


@pytest.mark.parametrize(("text", "outcome"), [("", "waiting"), ("words", "interrupted")])
def test_it_records_what_a_dead_process_left(alice: User, redis_url: str, text: str, outcome: str) -> None:
    claim = ask(alice)
    past = timezone.now() - timedelta(seconds=1)
    Generation.objects.filter(pk=claim.generation_id).update(
        lease_expires_at=past, text=text, seq=len(text), state="streaming" if text else "running"
    )
    sweep_once()
    record = CallRecord.objects.get()
    assert (record.outcome, record.code, record.started_at) == (outcome, "server_lost", None)


def test_it_ignores_impossible_counts_of_a_provider(alice: User) -> None:
    claim = ask(alice)
    usage = Usage(input_tokens=-1, output_tokens=10**12)
    endings.finish(claim, Outcome(State.COMPLETED, text="x", seq=1, usage=usage, duration_ms=1))
    record = CallRecord.objects.get()
    assert (record.input_tokens, record.output_tokens) == (None, None)


async def test_it_records_the_calls_of_a_real_answer_that_was_retried(
    alice_key: str, conversation: Conversation, open_socket: OpenSocket, settings: object
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:20-5-1!429x1@0")
    await socket.until("generation.waiting")
    record = await CallRecord.objects.aget()
    assert (record.outcome, record.code) == ("waiting", "rate_limited")
    assert record.duration_ms is not None
