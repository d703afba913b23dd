from __future__ import annotations

import pytest

from billing.errors import BudgetExceeded
from billing.holds import record_refusal
from billing.models import BudgetEvent
from tests.billing import play

pytestmark = pytest.mark.django_db


def refuse() -> BudgetExceeded:
    with pytest.raises(BudgetExceeded) as refused:
        play.place()
    return refused.value


def test_the_first_refusal_is_an_event_and_counts_as_reaching_the_limit() -> None:
    play.budget(120)
    events = record_refusal(refuse(), now=play.NOON)
    assert [event.kind for event in events] == ["refused", "100"]
    assert play.broken() == []


def test_later_refusals_are_silent() -> None:
    play.budget(120)
    record_refusal(refuse(), now=play.NOON)
    assert record_refusal(refuse(), now=play.NOON) == []
    assert BudgetEvent.objects.count() == 2


def test_a_refusal_hides_no_threshold() -> None:
    play.budget(500)
    hold = play.dispatched(input_tokens=100, wanted_output_tokens=400)
    record_refusal(refuse(), now=play.NOON)
    assert [event.kind for event in play.settle(hold, 100, 300).events] == ["75"]
    assert BudgetEvent.objects.count() == 3
    assert play.broken() == []


def test_a_limit_that_was_reached_is_not_reported_twice() -> None:
    play.budget(500)
    play.spend(tokens=500)
    assert [event.kind for event in record_refusal(refuse(), now=play.NOON)] == ["refused"]


def test_a_new_limit_may_refuse_anew() -> None:
    play.budget(120)
    record_refusal(refuse(), now=play.NOON)
    play.budget(130)
    assert [event.kind for event in record_refusal(refuse(), now=play.NOON)] == ["refused", "100"]


@pytest.mark.django_db(transaction=True)
def test_it_works_where_the_refused_call_had_opened_the_bucket() -> None:
    play.budget(120)
    refusal = refuse()  # rolled back together with the bucket that it opened
    assert [event.kind for event in record_refusal(refusal, now=play.NOON)] == ["refused", "100"]
    assert BudgetEvent.objects.get(kind="100").bucket == play.user_bucket()
