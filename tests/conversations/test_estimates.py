"""The learned estimate: it follows what providers report, and holds are hardly ever too small."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from billing.accounts import set_plan
from billing.models import Bucket, Hold, LedgerEntry
from conversations import attempts, claims, endings, turns
from conversations.estimates import (
    HIGHEST_PERCENT,
    LOWEST_PERCENT,
    MOST_OVERHEAD_TOKENS,
    SAMPLES_NEEDED,
    Sample,
    fit_estimate,
    learn_estimates,
)
from conversations.models import Conversation, State
from conversations.queueing import Order
from llm.estimate import InputEstimate
from llm.models import ModelProfile, Provider
from llm.profiles import add_model, clear_cache, get_profile
from llm.usage import Usage

MODEL = "learned:model"
Answer = Callable[..., tuple[int, int]]


def calls(
    rng: random.Random,
    lengths: tuple[int, int],
    *,
    share: tuple[float, float],
    overhead: int,
    count: int = 500,
) -> list[Sample]:
    """Calls of prompts of these lengths, on a scale of ratios, as a provider may have counted them."""
    low, high = (math.log(length) for length in lengths)
    counted = [round(math.exp(rng.uniform(low, high))) for _ in range(count)]
    return [(tokens, round(tokens * rng.uniform(*share)) + overhead) for tokens in counted]


@given(
    st.lists(st.tuples(st.integers(1, 20_000), st.floats(0.1, 1.4)), min_size=1, max_size=150),
    st.integers(0, 60),
    st.builds(InputEstimate, st.integers(100, 300), st.integers(0, 1000)),
)
def test_it_covers_99_of_100_within_its_bounds(
    found: list[tuple[int, float]], overhead: int, present: InputEstimate
) -> None:
    samples = [(counted, round(counted * ratio) + overhead) for counted, ratio in found]
    learned = fit_estimate(samples, present)
    assert LOWEST_PERCENT <= learned.percent <= HIGHEST_PERCENT
    assert 0 <= learned.overhead_tokens <= MOST_OVERHEAD_TOKENS
    low = [counted for counted, reported in samples if reported > learned.upper(counted)]
    assert len(low) <= len(samples) / 100


def test_short_prompts_tell_the_overhead_and_long_ones_the_share() -> None:
    rng = random.Random(3)
    short = calls(rng, (5, 60), share=(1.0, 1.05), overhead=29)
    long = calls(rng, (1000, 30_000), share=(1.1, 1.2), overhead=29)
    for present in (InputEstimate(102, 0), InputEstimate(115, 40), InputEstimate(150, 200)):
        both = fit_estimate(short + long, present)
        assert 119 <= both.percent <= 121
        assert 25 <= both.overhead_tokens <= 30
    # However many there are of the one kind, the other kind's part stays.
    mostly_short = fit_estimate(short * 5 + long[:60], InputEstimate(115, 40))
    mostly_long = fit_estimate(short[:60] + long * 5, InputEstimate(115, 40))
    for one in (mostly_short, mostly_long):
        assert 118 <= one.percent <= 121
        assert 25 <= one.overhead_tokens <= 31


def test_prompts_of_one_length_do_not_tell_about_the_other() -> None:
    rng = random.Random(4)
    # A server that adds 45 tokens, asked short questions only: nothing to learn about long ones.
    short = calls(rng, (5, 40), share=(1.0, 1.1), overhead=45)
    for percent in (102, 130):
        learned = fit_estimate(short, InputEstimate(percent, 0))
        assert percent <= learned.percent <= percent + 5
        assert 36 <= learned.overhead_tokens <= 49
    # Counted well below ours, asked long questions only: a short one may still have the overhead.
    long = calls(rng, (2000, 30_000), share=(0.9, 0.95), overhead=0)
    assert fit_estimate(long, InputEstimate(115, 40)) == InputEstimate(LOWEST_PERCENT, 40)


def test_calls_beyond_all_bounds_teach_nothing_unless_there_are_many() -> None:
    rng = random.Random(5)
    found = calls(rng, (10, 5000), share=(1.0, 1.1), overhead=20, count=95)
    searched = [(16, 14_100)] * 5
    usual = fit_estimate(found, InputEstimate(115, 40))
    assert usual.percent < 120
    assert fit_estimate(found + searched, InputEstimate(115, 40)) == usual
    often = fit_estimate(found + searched * 10, InputEstimate(115, 40))
    assert often == InputEstimate(HIGHEST_PERCENT, MOST_OVERHEAD_TOKENS)


@pytest.fixture
def answered(alice: User, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """``answered(ratio)`` is a finished answer whose provider counted ``ratio`` times our input, and more."""
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

    def answer(
        ratio: float, *, overhead: int = 0, words: int = 100, reported: bool = True
    ) -> tuple[int, int]:
        started = turns.start_turn(
            user_id=alice.pk,
            conversation_id=conversation.pk,
            turn_id=uuid.uuid4(),
            order=Order("word " * words, MODEL, max_output_tokens=10),
        )
        claim = claims.claim(started.generation_id, owner="test", prepared=started.claim)
        assert isinstance(claim, attempts.Claim)
        actual = round(claim.input_estimate_tokens * ratio) + overhead
        usage = Usage(input_tokens=actual, output_tokens=1) if reported else None
        endings.finish(claim, attempts.Outcome(State.COMPLETED, text="ok", seq=1, usage=usage))
        Conversation.objects.filter(pk=conversation.pk).update(head_turn=None)
        return Hold.objects.get(pk=claim.hold_id).input_tokens, actual

    return answer


@pytest.mark.django_db
@pytest.mark.parametrize("answers", [150, pytest.param(1000, marks=pytest.mark.long)])
def test_it_learns_from_skewed_usages_and_then_holds_enough(
    answered: Answer, answers: int, settings: Settings
) -> None:
    settings.MESSAGE_LIMIT_CHARACTERS = 100_000
    rng = random.Random(7)

    def skewed() -> tuple[int, int]:
        words = round(math.exp(rng.uniform(math.log(3), math.log(4000))))
        return answered(rng.uniform(1.1, 1.3), overhead=29, words=words)

    before = get_profile(MODEL).estimate
    for _ in range(answers):
        skewed()
    learned = learn_estimates()[MODEL]
    assert 126 <= learned.percent <= 132
    assert 27 <= learned.overhead_tokens <= 40
    assert learned.percent != before.percent
    assert learned == get_profile(MODEL).estimate
    later = [skewed() for _ in range(100)]
    ratios = sorted(actual / held for held, actual in later)
    assert ratios[98] <= 1.02
    assert sum(held / actual for held, actual in later) <= 4 * len(later)
    # Of the output nobody can get more than was held; what was too small a hold is shown as slack.
    over = 0
    for entry in LedgerEntry.objects.filter(model=MODEL).select_related("hold"):
        assert entry.hold is not None
        assert entry.output_visible_tokens <= entry.hold.output_cap_tokens
        over += max(0, entry.total_tokens - entry.hold.input_tokens - entry.hold.output_cap_tokens)
    assert Bucket.objects.get(budget__scope_kind="user", unit="tokens").slack == over


@pytest.mark.django_db
def test_it_learns_nothing_from_few_or_unreported_answers(answered: Answer) -> None:
    before = get_profile(MODEL).estimate
    for _ in range(SAMPLES_NEEDED - 1):
        answered(1.9)
    for _ in range(SAMPLES_NEEDED):
        answered(1.9, reported=False)
    assert learn_estimates() == {}
    clear_cache()
    assert get_profile(MODEL).estimate == before


@pytest.mark.django_db
def test_it_learns_nothing_for_a_model_that_is_switched_off(answered: Answer) -> None:
    for _ in range(SAMPLES_NEEDED):
        answered(1.9)
    ModelProfile.objects.filter(model_id=MODEL).update(enabled=False)
    clear_cache()
    assert learn_estimates() == {}


@pytest.mark.django_db
def test_it_holds_the_count_times_the_factor_and_the_overhead(answered: Answer) -> None:
    ModelProfile.objects.filter(model_id=MODEL).update(estimate_percent=150, prompt_overhead_tokens=70)
    clear_cache()
    held, actual = answered(1.0)
    assert held == InputEstimate(150, 70).upper(actual)
