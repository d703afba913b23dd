from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing import entries
from billing.entry_lists import EntriesAsked, entries_page
from billing.errors import InvalidAmount
from tests.billing import play
from tests.billing.entry_pages import all_entries

pytestmark = pytest.mark.django_db


def test_pages_of_entries_follow_each_other_while_new_ones_are_written() -> None:
    for number in range(5):
        play.spend(now=play.NOON - timedelta(days=number // 2))
    wanted = EntriesAsked(user_id=1)
    everything = [entry.pk for entry in all_entries(wanted)]
    assert len(everything) == 5
    first = entries_page(wanted, limit=2)
    assert first.next_cursor is not None
    play.spend(now=play.NOON + timedelta(days=1))
    second = entries_page(wanted, after=first.next_cursor, limit=2)
    assert second.next_cursor is not None
    last = entries_page(wanted, after=second.next_cursor, limit=2)
    assert last.next_cursor is None
    assert [entry.pk for page in (first, second, last) for entry in page.entries] == everything


def test_entries_are_found_by_what_they_are() -> None:
    play.price()
    one = play.spend(1, model=play.MODEL)
    hold = play.dispatched(2, model="other:x", purpose="title")
    play.settle(hold, 5, 5, estimated=True, kind="code", bearer="house", now=play.NOON + timedelta(hours=3))
    refund = entries.refund(one.pk, reason="", now=play.NOON + timedelta(days=4))

    def found(**asked: Any) -> set[str]:
        return {entry.kind + entry.model[:1] for entry in entries_page(EntriesAsked(**asked)).entries}

    assert found(provider="acme") == {"usagea", "refunda"}
    assert found(entry_kind="refund") == {"refunda"}
    assert found(purpose="title") == found(kind="code") == found(bearer="house") == {"usageo"}
    assert found(estimated=True) == found(generation_id=hold.generation_id) == {"usageo"}
    assert found(written_from=play.NOON + timedelta(hours=1)) == {"usageo", "refunda"}
    assert found(written_before=play.NOON + timedelta(hours=1)) == {"usagea"}
    # A refund counts on the day of what it refunds.
    assert refund.local_day == one.local_day
    assert found(first_day=one.local_day, last_day=one.local_day, user_id=1) == {"usagea", "refunda"}


@pytest.mark.parametrize("cursor", ["x", "2026-03-04", "2026-13-01.00000000000000000000000000000001", "."])
def test_a_wrong_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidAmount):
        entries_page(EntriesAsked(), after=cursor)
