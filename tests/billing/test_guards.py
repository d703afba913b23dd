"""What the database itself refuses, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import F, ProtectedError

from billing import prices
from billing.append_only import lifted
from billing.holds import release_hold
from billing.models import Bucket, Budget, BudgetEvent, Hold, HoldLine, LedgerEntry, Posting, PriceVersion
from tests.billing import play

pytestmark = pytest.mark.django_db


def refused(statement: Any) -> None:
    def run() -> None:
        with transaction.atomic():
            statement()
            connection.check_constraints()

    with pytest.raises(DatabaseError):
        run()


@pytest.mark.parametrize("model", [LedgerEntry, Posting])
def test_the_ledger_is_append_only(model: type[LedgerEntry] | type[Posting]) -> None:
    play.spend()
    table = model._meta.db_table
    column = "note" if model is LedgerEntry else "over"
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)


def test_the_ledger_cannot_be_truncated() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no TRUNCATE")
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE billing_posting")


def test_the_guards_come_back_after_they_were_lifted() -> None:
    play.spend()
    connection.check_constraints()
    with lifted():
        Posting.objects.update(over=0)
        connection.check_constraints()
    refused(lambda: Posting.objects.update(over=0))
    assert play.broken() == []


def test_a_price_version_is_never_changed_only_closed() -> None:
    play.price()
    refused(
        lambda: PriceVersion.objects.exclude(source="shipped").update(input_picousd=F("input_picousd") - 1)
    )
    refused(lambda: PriceVersion.objects.exclude(source="shipped").update(valid_from=play.NOON))
    assert PriceVersion.objects.exclude(source="shipped").update(valid_to=play.NOON) == 1


def test_price_versions_do_not_overlap() -> None:
    play.price()
    prices.set_price(model=play.MODEL, tiers=[prices.TierPrice(1, 1)], confirm=True)
    first = PriceVersion.objects.filter(model=play.MODEL).earliest("valid_from")
    assert first.valid_to is not None
    refused(
        lambda: PriceVersion.objects.filter(pk=first.pk).update(valid_to=first.valid_to + timedelta(days=1))
    )
    values = {name: getattr(first, name) for name in prices.TierPrice(1, 1).columns()}
    between = {
        "valid_from": first.valid_from + timedelta(days=1),
        "valid_to": first.valid_from + timedelta(days=2),
    }
    refused(lambda: PriceVersion.objects.create(model=play.MODEL, **values, **between))
    # Another model or another tier is another matter.
    PriceVersion.objects.create(model="other:model", **values, **between)
    PriceVersion.objects.create(model=play.MODEL, **{**values, "above_input_tokens": 9}, **between)


@pytest.mark.parametrize("rate", ["input_picousd", "output_picousd", "cache_read_picousd"])
@pytest.mark.parametrize("value", [-1, 10**10 + 1])
def test_absurd_prices_are_refused(rate: str, value: int) -> None:
    columns = {**prices.TierPrice(1, 1).columns(), rate: value}
    refused(lambda: PriceVersion.objects.create(model="a:b", valid_from=play.NOON, **columns))


def test_periods_of_a_budget_do_not_overlap() -> None:
    play.spend()
    bucket = play.user_bucket()
    bucket.pk = None
    bucket.period_start += timedelta(hours=1)
    refused(bucket.save)
    later = play.user_bucket()
    later.pk = None
    later.period_start, later.period_end = later.period_start + timedelta(days=1), None
    later.save()
    refused(lambda: Bucket.objects.filter(pk=later.pk).update(period_start=play.NOON))


@pytest.mark.parametrize(
    "changes",
    [
        {"posted": 9_999},
        {"held": 9_999},
        {"posted": -1},
        {"held": -1},
        {"slack": -1},
        {"drawn": -1},
        {"limit_units": 100},
        {"limit_units": -1},
        {"unit": "euro"},
        {"period_end": play.NOON - timedelta(days=9)},
    ],
)
def test_a_bucket_never_goes_over_its_limit(changes: dict[str, Any]) -> None:
    play.budget(1_000)
    play.spend(tokens=600)
    refused(lambda: Bucket.objects.update(**changes))


def test_a_bucket_may_record_what_went_over() -> None:
    play.budget(1_000)
    play.spend(tokens=600)
    Bucket.objects.update(posted=1_600, slack=600)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": "settled"},
        {"state": "dispatched"},
        {"state": "released"},
        {"state": "gone"},
        {"closed_at": play.NOON},
        {"output_cap_tokens": 0},
        {"input_tokens": -1},
        {"input_tokens": 10**8 + 1},
        {"checkpoint_output_tokens": -1},
    ],
)
def test_a_hold_is_whole(changes: dict[str, Any]) -> None:
    play.place()
    refused(lambda: Hold.objects.update(**changes))


def test_a_closed_hold_stays_closed() -> None:
    hold = play.place()
    release_hold(hold.pk, reason="stopped")
    refused(lambda: Hold.objects.update(state="open", closed_at=None))


def test_lines_are_positive_and_once_per_bucket() -> None:
    hold = play.place()
    line = HoldLine.objects.get()
    refused(lambda: HoldLine.objects.update(amount=0))
    refused(lambda: HoldLine.objects.create(hold=hold, bucket_id=line.bucket_id, amount=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "tip"},
        {"kind": "usage", "hold_id": None},
        {"kind": "refund"},
        {"kind": "grant"},
        {"kind": "usage", "output_visible_tokens": -1},
        {"kind": "usage", "cost_nanousd": -1},
        {"bearer": "nobody"},
        {"granted_units": 1},
    ],
)
def test_an_entry_is_whole(changes: dict[str, Any]) -> None:
    hold = play.place()
    base: dict[str, Any] = {
        "created_at": play.NOON,
        "kind": "adjust",
        "bearer": "user",
        "hold_id": hold.pk,
        "user_id": 1,
        "local_day": play.NOON.date(),
    }
    LedgerEntry.objects.create(idempotency_key="good", **base)
    refused(lambda: LedgerEntry.objects.create(idempotency_key="bad", **{**base, **changes}))
    refused(lambda: LedgerEntry.objects.create(idempotency_key="good", **base))


def test_an_event_is_recorded_once() -> None:
    play.budget(100)
    play.spend(tokens=80)
    event = BudgetEvent.objects.get()
    event.pk = None
    refused(event.save)


@pytest.mark.parametrize(
    "changes",
    [
        {"limit_units": -1},
        {"limit_units": 10**18 + 1},
        {"unit": "euro"},
        {"period": "year"},
        {"scope_kind": "planet"},
        {"scope_id": ""},
        {"scope_kind": "everyone"},
        {"valid_to": play.NOON - timedelta(days=1)},
    ],
)
def test_a_budget_is_whole(changes: dict[str, Any]) -> None:
    play.budget(100)
    refused(lambda: Budget.objects.update(**changes))


def test_a_budget_has_one_row_per_key_also_for_all_models() -> None:
    budget = play.budget(100)
    budget.pk = None
    refused(budget.save)


def test_deleting_a_user_changes_nothing_in_the_ledger(alice: User) -> None:
    play.price()
    entry = play.spend(alice.pk)
    alice_id = alice.pk
    alice.delete()
    assert LedgerEntry.objects.get() == entry
    assert entry.user_id == alice_id
    assert play.broken() == []


def test_nothing_cascades_into_the_ledger() -> None:
    play.price()
    play.spend()
    for model in (Budget, Bucket, PriceVersion, Hold):
        with pytest.raises((ProtectedError, IntegrityError)), transaction.atomic():
            model.objects.all().delete()
