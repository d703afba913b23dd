"""Overruns: what calls used beyond their holds is summed call by call, and read from rollups alone."""

from __future__ import annotations

import importlib
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from billing import books, entries
from billing.models import Hold, OverrunDayRollup
from billing.overruns import Overruns, overruns
from billing.rollups import fold_pending
from tests.billing import play

pytestmark = pytest.mark.django_db

DAY = date(2026, 3, 4)
CALLS = st.lists(
    st.tuples(
        st.sampled_from((play.MODEL, "acme:unpriced")),
        st.integers(0, 3),  # days after DAY
        st.integers(0, 250),  # input; 100 are held
        st.integers(0, 900),  # output; 400 are held
        st.booleans(),  # refunded
    ),
    max_size=8,
)


class _Undo(Exception):
    """Ends an example and takes its rows with it."""


@given(calls=CALLS, folded=st.integers(0, 8))
def test_it_sums_what_ran_over(calls: list[Any], folded: int) -> None:
    try:
        with transaction.atomic():
            check(calls, folded)
            raise _Undo
    except _Undo:
        pass


def check(calls: list[Any], folded: int) -> None:
    play.price()
    wanted: dict[str, list[int]] = {}
    for number, (model, days, given_, written, refunded) in enumerate(calls):
        now = play.NOON + timedelta(days=days)
        hold = play.dispatched(now=now, model=model)
        entry = play.settle(hold, given_, written, now=now).entry
        assert entry is not None
        if refunded:
            entries.refund(entry.pk, reason="", now=now)
        if days < 3:
            add(wanted.setdefault(model, [0] * 8), hold, given_, written)
        if number < folded:
            fold_pending()
    found = overruns(DAY, DAY + timedelta(days=2))
    assert {one.model: one for one in found} == {
        model: Overruns(model, *sums) for model, sums in wanted.items()
    }
    fold_pending()
    assert overruns(DAY, DAY + timedelta(days=2)) == found
    assert not books.check(next(one for one in books.INVARIANTS if one.name == "I18")).rows


def add(sums: list[int], hold: Hold, given_: int, written: int) -> None:
    over = max(given_ + written - 500, 0)
    held_cost, cost = 100 * 100 + 400 * 400, 100 * given_ + 400 * written
    over_cost = 0 if hold.cost_nanousd is None else max(cost - held_cost, 0)
    for at, value in enumerate((1, int(over + over_cost > 0), over, over_cost, 100, 400, given_, written)):
        sums[at] += value


def test_it_narrows_to_a_model_or_provider() -> None:
    for model in ("acme:a", "acme:b", "other:a"):
        play.settle(play.dispatched(model=model), 10, 10)
    assert [one.model for one in overruns(DAY, DAY, model="acme:b")] == ["acme:b"]
    assert [one.model for one in overruns(DAY, DAY, provider="acme")] == ["acme:a", "acme:b"]
    assert overruns(DAY + timedelta(days=1), DAY + timedelta(days=1)) == []


def test_what_was_there_before_is_added_up_once() -> None:
    play.price()
    for written in (10, 600):
        play.settle(play.dispatched(), 120, written)
    fold_pending()
    play.settle(play.dispatched(), 1, 1)  # pending: to be folded, not added up
    kept = list(OverrunDayRollup.objects.values_list(*[f.name for f in OverrunDayRollup._meta.fields[1:]]))
    OverrunDayRollup.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(importlib.import_module("billing.migrations.0010_overruns").ADD_UP)
    again = OverrunDayRollup.objects.values_list(*[f.name for f in OverrunDayRollup._meta.fields[1:]])
    assert list(again) == kept
