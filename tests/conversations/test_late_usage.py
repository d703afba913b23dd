"""Usage that comes after an estimate was settled: the books learn the truth, once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from billing import entries
from billing.books import check_books
from billing.budgets import set_budget
from billing.holds import expire_holds
from billing.models import Bucket, Hold, LedgerEntry
from conversations import attempts, claims, endings, turns
from conversations.models import Conversation, Generation, State
from conversations.queueing import Order
from conversations.receipts import receipts
from llm.usage import Usage

pytestmark = pytest.mark.django_db

MODEL = "demo:friendly"
REPORTED = Usage(input_tokens=90, cached_tokens=30, output_tokens=12, thinking_tokens=4, raw={"late": True})
Start = Callable[[], attempts.Claim]


@pytest.fixture
def site_budget() -> None:
    set_budget(scope="everyone", unit="tokens", limit_units=10**6, period="none")


@pytest.fixture
def start(alice: User, site_budget: None) -> Start:
    """Begins an answer; its lease is over already, as after a process has stalled."""

    def begin() -> attempts.Claim:
        conversation = Conversation.objects.create(owner=alice)
        started = turns.start_turn(
            user_id=alice.pk,
            conversation_id=conversation.pk,
            turn_id=uuid.uuid4(),
            order=Order("How many?", MODEL, max_output_tokens=50),
        )
        claim = claims.claim(started.generation_id, owner="test", prepared=started.claim)
        assert isinstance(claim, attempts.Claim)
        past = timezone.now() - timedelta(seconds=1)
        Generation.objects.filter(pk=claim.generation_id).update(
            lease_expires_at=past, state=State.STREAMING, text="forty", seq=1
        )
        Hold.objects.filter(pk=claim.hold_id).update(lease_expires_at=past)
        return claim

    return begin


def outcome(usage: Usage | None) -> attempts.Outcome:
    return attempts.Outcome(State.COMPLETED, text="forty two", seq=2, usage=usage)


def close_by_sweep(claim: attempts.Claim) -> None:
    generation = Generation.objects.select_related("turn", "conversation").get(pk=claim.generation_id)
    assert endings.close_lapsed(generation, text="forty", seq=1) is not None


def assert_books() -> None:
    assert [finding.invariant.name for finding in check_books() if not finding.ok] == []


def test_a_process_that_lost_its_answer_still_tells_the_books(start: Start) -> None:
    claim = start()
    close_by_sweep(claim)
    estimate = LedgerEntry.objects.get()
    assert (estimate.estimated, estimate.bearer) == (True, "house")
    for _ in range(2):
        assert endings.finish(claim, outcome(REPORTED)) is None
    late = LedgerEntry.objects.get(kind="trueup")
    assert estimate.total_tokens + late.total_tokens == 102
    assert estimate.cache_read_tokens + late.cache_read_tokens == 30
    assert estimate.thinking_tokens + late.thinking_tokens == 4
    assert (late.bearer, late.usage_raw) == ("house", {"late": True})
    assert Bucket.objects.get(budget__scope_kind="everyone").posted == 102
    # The answer stays as it was closed, and its receipt says what was used.
    generation = Generation.objects.select_related("turn", "conversation").get(pk=claim.generation_id)
    assert (generation.state, generation.text) == (State.INTERRUPTED, "forty")
    told = receipts([generation])[generation.pk]
    assert (told["total_tokens"], told["estimated"], told["charged"]) == (102, False, False)
    assert_books()


def test_a_swept_hold_is_trued_up_when_the_answer_ends(start: Start) -> None:
    claim = start()
    assert expire_holds() == [claim.hold_id]
    assert endings.finish(claim, outcome(REPORTED)) is not None
    assert sum(entry.total_tokens for entry in LedgerEntry.objects.all()) == 102
    assert LedgerEntry.objects.filter(kind="trueup", bearer="house").count() == 1
    assert_books()


@pytest.mark.parametrize(
    "usage",
    [
        None,
        Usage(input_tokens=90),
        Usage(output_tokens=12),
        Usage(input_tokens=90, output_tokens=-1),
        Usage(input_tokens=10, cached_tokens=30, output_tokens=5),
    ],
)
def test_what_is_not_a_whole_report_corrects_nothing(start: Start, usage: Usage | None) -> None:
    claim = start()
    close_by_sweep(claim)
    assert endings.finish(claim, outcome(usage)) is None
    assert LedgerEntry.objects.count() == 1


def test_what_was_settled_by_a_report_stays(start: Start) -> None:
    claim = start()
    assert endings.finish(claim, outcome(REPORTED)) is not None
    later = Usage(input_tokens=500, output_tokens=500)
    assert endings.finish(claim, outcome(later)) is None
    assert LedgerEntry.objects.count() == 1


def test_a_refunded_estimate_takes_no_more_back(start: Start) -> None:
    claim = start()
    close_by_sweep(claim)
    entries.refund(LedgerEntry.objects.get().pk, reason="sorry")
    assert endings.finish(claim, outcome(Usage(input_tokens=0, output_tokens=0))) is None
    assert not LedgerEntry.objects.filter(kind="trueup").exists()
    assert_books()
