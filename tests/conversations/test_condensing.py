"""What a summary covers, and that it always saves something."""

from __future__ import annotations

import uuid
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from conversations.condensing import TURNS_KEPT, WORTHWHILE_TOKENS, SummaryPlan, plan_summary
from conversations.exchanges import Exchange, History, SummaryText
from conversations.models import ContextMark
from llm.profiles import Profile, demo_profile
from llm.tokens import estimate_input_tokens

PROFILE = demo_profile("friendly")


def talk(turns: int, words: int = 60) -> History:
    return History(tuple(Exchange(f"question {n}", f"answer {n} " + "word " * words) for n in range(turns)))


def plan_of(history: History, profile: Profile = PROFILE) -> SummaryPlan:
    plan = plan_summary(history, profile)
    assert plan is not None
    return plan


def prompt(plan: SummaryPlan) -> str:
    return plan.request.messages[0].text


def test_it_leaves_the_newest_turns_as_they_are() -> None:
    plan = plan_of(talk(12))
    assert (plan.begin, plan.end) == (0, 12 - TURNS_KEPT)
    assert "question 7" in prompt(plan)
    assert "question 8" not in prompt(plan)
    # In a short conversation half of it.
    assert plan_of(talk(4, words=300)).end == 2
    assert plan_of(talk(1, words=300)).end == 1


def test_it_plans_nothing_where_there_is_little() -> None:
    assert plan_summary(History(), PROFILE) is None
    assert plan_summary(talk(6, words=1), PROFILE) is None
    history = replace(talk(12), summary=SummaryText(uuid.uuid4(), "They met.", 0, 8))
    assert plan_summary(history, PROFILE) is None


def test_it_builds_on_the_summary_that_is_there() -> None:
    earlier = SummaryText(uuid.uuid4(), "They met in Basel.", -3, 8)
    plan = plan_of(replace(talk(20), summary=earlier))
    assert (plan.begin, plan.end) == (-3, 16)
    assert "They met in Basel." in prompt(plan)
    assert "question 7" not in prompt(plan)
    assert "question 8" in prompt(plan)


def test_it_tells_the_model_nothing_that_is_excluded() -> None:
    history = talk(12)
    secret = Exchange("my key is 1234", "kept " * 90, ContextMark.EXCLUDED)
    plan = plan_of(History((secret, *history.exchanges)))
    assert "1234" not in prompt(plan)
    assert "kept" in prompt(plan)


def test_it_begins_later_where_the_model_could_not_take_all() -> None:
    small = replace(PROFILE, context_window_tokens=3000)
    plan = plan_of(talk(60, words=100), small)
    assert plan.begin > 0
    assert "question 0\n" not in prompt(plan)
    # A summary that does not follow on what was left out would tell a false story.
    earlier = SummaryText(uuid.uuid4(), "They met.", 0, 4)
    later = plan_of(replace(talk(60, words=100), summary=earlier), small)
    assert later.begin > 4
    assert "They met." not in prompt(later)


@given(
    sizes=st.lists(st.integers(0, 300), max_size=30),
    window=st.integers(2000, 20_000),
    estimate=st.sampled_from([(100, 0), (125, 40), (150, 200)]),
)
def test_it_fits_the_window_and_halves_what_it_replaces(
    sizes: list[int], window: int, estimate: tuple[int, int]
) -> None:
    percent, overhead = estimate
    profile = replace(
        PROFILE, context_window_tokens=window, estimate_percent=percent, prompt_overhead_tokens=overhead
    )
    history = History(tuple(Exchange("why?", "word " * size) for size in sizes))
    plan = plan_summary(history, profile)
    if plan is None:
        return
    assert plan.input_tokens == estimate_input_tokens(plan.request, profile.encoding)
    whole = profile.estimate.upper(plan.input_tokens) + plan.request.max_output_tokens
    assert whole <= window
    assert plan.before_tokens >= WORTHWHILE_TOKENS
    assert plan.after_tokens < plan.before_tokens
    assert 0 <= plan.begin < plan.end <= len(sizes)
