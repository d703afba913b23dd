from __future__ import annotations

from dataclasses import replace

import pytest

from billing.errors import BudgetExceeded, PriceUnknown
from billing.models import Bucket, Hold
from billing.previews import fit_in_turn, meters_before, preview_hold
from tests.billing import play

pytestmark = pytest.mark.django_db


def test_it_says_what_a_call_would_take_and_takes_nothing() -> None:
    play.price()
    play.budget(2_000)
    play.budget(10**9, unit="nanousd")
    preview = preview_hold(play.request(), now=play.NOON)
    assert (preview.output_cap_tokens, preview.cost_nanousd, preview.refusal) == (400, 170_000, None)
    assert preview.tightest is not None
    assert (preview.tightest.unit, preview.percent_after, preview.remaining_after) == ("tokens", 25, 1_500)
    assert (Hold.objects.count(), Bucket.objects.count()) == (0, 0)


def test_it_says_that_the_answer_would_be_cut() -> None:
    play.budget(300)
    preview = preview_hold(play.request(), now=play.NOON)
    assert (preview.output_cap_tokens, preview.percent_after, preview.remaining_after) == (200, 100, 0)


def test_it_says_why_a_call_would_be_refused() -> None:
    play.budget(120)
    preview = preview_hold(play.request(), now=play.NOON)
    assert preview.output_cap_tokens is None
    assert isinstance(preview.refusal, BudgetExceeded)
    assert preview.refusal.fits_output_tokens == 20
    play.budget(10**9, unit="nanousd")
    assert isinstance(preview_hold(play.request(), now=play.NOON).refusal, PriceUnknown)


def test_without_a_hard_limit_nothing_is_tight() -> None:
    play.budget(None)
    preview = preview_hold(play.request(), now=play.NOON)
    assert (preview.tightest, preview.percent_after, preview.remaining_after) == (None, 0, None)


def test_it_says_whether_two_calls_fit_one_after_the_other() -> None:
    play.budget(700)
    request = play.request()  # 100 in, 400 out
    assert fit_in_turn(request, request, now=play.NOON)
    small = replace(request, wanted_output_tokens=150)
    long = replace(request, minimum_output_tokens=400)
    assert fit_in_turn(small, replace(long, minimum_output_tokens=350), now=play.NOON)
    assert not fit_in_turn(small, long, now=play.NOON)
    assert not fit_in_turn(replace(request, input_tokens=800), request, now=play.NOON)
    assert not Hold.objects.exists()


def test_calls_of_two_models_meet_their_own_budgets() -> None:
    play.budget(500, model="demo:large")
    large = replace(play.request(), model="demo:large", minimum_output_tokens=400)
    assert not fit_in_turn(large, large, now=play.NOON)
    assert fit_in_turn(replace(large, model="demo:small"), large, now=play.NOON)


def test_a_small_budget_comes_before_a_large_one_of_which_more_is_used() -> None:
    play.price()
    play.budget(900_000, scope="everyone", period="month")
    play.spend(user_id=2, tokens=9_000)
    play.budget(900)
    play.budget(10**9, unit="nanousd")
    play.budget(None, period="week")
    found = meters_before(
        user_id=1, conversation_id=None, model=play.request().model, output_tokens=400, now=play.NOON
    )
    assert next((meter.scope, meter.unit, units) for meter, units in found) == ("user", "tokens", 400)
    assert [meter.scope for meter, _ in found].count("user") == 2
    assert [meter.used for meter, _ in found if meter.scope == "everyone"] == [9_000]
