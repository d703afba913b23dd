"""The learned factor: it follows what providers report, and holds are hardly ever too small."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from hypothesis import given
from hypothesis import strategies as st

from billing.accounts import set_plan
from billing.models import Bucket, Hold, LedgerEntry
from conversations import attempts, claims, endings, turns
from conversations.estimates import (
    HIGHEST_PERCENT,
    LOWEST_PERCENT,
    SAMPLES_NEEDED,
    learn_estimates,
    percent_for,
)
from conversations.models import Conversation, State
from conversations.queueing import Order
from llm.models import ModelProfile, Provider
from llm.profiles import add_model, clear_cache
from llm.tokens import estimate_upper
from llm.usage import Usage

MODEL = "learned:model"
Answer = Callable[..., tuple[int, int]]


@given(st.lists(st.floats(0.1, 3.0), min_size=1, max_size=300))
def test_it_covers_99_of_100_within_its_bounds(ratios: list[float]) -> None:
    percent = percent_for(ratios)
    assert LOWEST_PERCENT <= percent <= HIGHEST_PERCENT
    too_small = [ratio for ratio in ratios if ratio * 100 > percent]
    assert percent == HIGHEST_PERCENT or len(too_small) <= len(ratios) / 100


@pytest.fixture
def answered(alice: User, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """``answered(ratio)`` is a finished answer whose provider counted ``ratio`` times our input."""
    monkeypatch.setenv("LEARNED_API_KEY", "key")
    Provider.objects.create(
        name="learned",
        kind="openai_compatible",
        base_url="https://learned.example/v1",
        api_key_env="LEARNED_API_KEY",
    )
    add_model(model_id=MODEL, context_window_tokens=100_000, max_output_tokens=1000)
    set_plan(user_id=alice.pk, plan="unlimited")
    conversation = Conversation.objects.create(owner=alice)

    def answer(ratio: float, *, reported: bool = True) -> tuple[int, int]:
        started = turns.start_turn(
            user_id=alice.pk,
            conversation_id=conversation.pk,
            turn_id=uuid.uuid4(),
            order=Order("word " * 100, MODEL, max_output_tokens=10),
        )
        claim = claims.claim(started.generation_id, owner="test", prepared=started.claim)
        assert isinstance(claim, attempts.Claim)
        actual = round(claim.input_estimate_tokens * ratio)
        usage = Usage(input_tokens=actual, output_tokens=1) if reported else None
        endings.finish(claim, attempts.Outcome(State.COMPLETED, text="ok", seq=1, usage=usage))
        Conversation.objects.filter(pk=conversation.pk).update(head_turn=None)
        return Hold.objects.get(pk=claim.hold_id).input_tokens, actual

    return answer


@pytest.mark.django_db
@pytest.mark.parametrize("answers", [150, pytest.param(1000, marks=pytest.mark.long)])
def test_it_learns_from_skewed_usages_and_then_holds_enough(answered: Answer, answers: int) -> None:
    rng = random.Random(7)
    for _ in range(answers):
        answered(rng.uniform(1.1, 1.3))
    before = ModelProfile.objects.get(model_id=MODEL).estimate_percent
    learned = learn_estimates()[MODEL]
    assert 126 <= learned <= 132
    assert learned != before
    later = [answered(rng.uniform(1.1, 1.3)) for _ in range(100)]
    ratios = sorted(actual / held for held, actual in later)
    assert ratios[98] <= 1.02
    assert sum(held for held, _ in later) <= 4 * sum(actual for _, actual in later)
    # Of the output nobody can get more than was held; what was too small a hold is shown as slack.
    over = 0
    for entry in LedgerEntry.objects.filter(model=MODEL).select_related("hold"):
        assert entry.hold is not None
        assert entry.output_visible_tokens <= entry.hold.output_cap_tokens
        over += max(0, entry.total_tokens - entry.hold.input_tokens - entry.hold.output_cap_tokens)
    assert Bucket.objects.get(budget__scope_kind="user", unit="tokens").slack == over


@pytest.mark.django_db
def test_it_learns_nothing_from_few_or_unreported_answers(answered: Answer) -> None:
    before = ModelProfile.objects.get(model_id=MODEL).estimate_percent
    for _ in range(SAMPLES_NEEDED - 1):
        answered(1.4)
    for _ in range(SAMPLES_NEEDED):
        answered(1.4, reported=False)
    assert learn_estimates() == {}
    assert ModelProfile.objects.get(model_id=MODEL).estimate_percent == before


@pytest.mark.django_db
def test_it_holds_the_count_times_the_factor(answered: Answer) -> None:
    ModelProfile.objects.filter(model_id=MODEL).update(estimate_percent=150)
    clear_cache()
    held, actual = answered(1.0)
    assert held == estimate_upper(actual, 150)
