from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection

from billing import entries, grants
from billing.books import INVARIANTS, check_books
from billing.holds import release_hold
from billing.models import Bucket, LedgerEntry
from billing.rollups import fold_pending
from billing.usage import UsageCounts
from tests.billing import play
from tests.billing.corruption import execute, unguarded

pytestmark = pytest.mark.django_db

# Invariant -> one change that breaks it.
CORRUPTIONS = {
    "I1": "UPDATE billing_bucket SET posted = posted + 1",
    "I2": "UPDATE billing_bucket SET held = held + 1",
    "I3": "UPDATE billing_bucket SET slack = slack + 1",
    "I4": "UPDATE billing_bucket SET limit_units = 1 WHERE limit_units IS NOT NULL",
    "I5": "UPDATE billing_ledgerentry SET kind = 'adjust' WHERE kind = 'usage'",
    "I6": "UPDATE billing_hold SET dispatched_at = created_at WHERE state = 'open'",
    "I7": "UPDATE billing_ledgerentry SET cost_nanousd = cost_nanousd + 1 WHERE kind = 'usage'",
    "I8": "UPDATE billing_ledgerentry SET reported_input_tokens = 101 WHERE reported_input_tokens = 100",
    "I9": "UPDATE billing_hold SET release_reason = '' WHERE state = 'released'",
    "I10": "UPDATE billing_hold SET output_cap_tokens = output_cap_tokens + 1",
    "I11": "UPDATE billing_bucket SET notified_percent = 75 WHERE notified_percent = 0",
    "I12": "UPDATE billing_usagerollup SET calls = calls + 1",
    "I13": "UPDATE billing_bucket SET period_end = NULL WHERE period_end IS NOT NULL",
    "I14": "UPDATE billing_ledgerentry SET bearer = 'house' WHERE kind = 'usage'",
    "I15": "UPDATE billing_posting SET amount = amount + 1",
    "I16": "UPDATE billing_grant SET remaining_units = remaining_units - 1",
    "I17": "",
    "I18": "UPDATE billing_sitedayrollup SET calls = calls + 1",
}


@pytest.fixture
def history() -> None:
    """A ledger with something of everything in it."""
    play.price()
    budget = play.budget(100_000)
    play.budget(10**9, unit="nanousd")
    play.budget(None, scope="everyone", period="month")
    grants.grant_units(budget=budget, units=5_000, key="g", now=play.NOON)
    hold = play.dispatched()
    play.settle(hold, 100, 200, reported_input_tokens=100, reported_output_tokens=200)
    estimated = play.dispatched()
    play.settle(estimated, 100, 200, estimated=True)
    entries.true_up(estimated.pk, usage=UsageCounts(90, 0, 0, 0, 210, 0), now=play.NOON)
    play.settle(play.dispatched(), 100, 5, bearer="house", estimated=True)
    entries.refund(play.spend().pk, reason="", now=play.NOON)
    release_hold(play.dispatched().pk, reason="rejected", now=play.NOON)
    play.place()
    play.dispatched()
    fold_pending(limit=3)  # the rest stays pending
    play.spend(now=play.NOON + timedelta(days=1))


@pytest.mark.usefixtures("history")
def test_right_books_hold_every_invariant() -> None:
    assert LedgerEntry.objects.count() == 8
    assert [finding.invariant.name for finding in check_books(now=play.NOON)] == list(CORRUPTIONS)
    assert play.broken() == []


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("name", [invariant.name for invariant in INVARIANTS])
def test_a_corrupted_row_breaks_its_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with unguarded():
        if CORRUPTIONS[name]:
            execute(CORRUPTIONS[name])
    if name == "I17":
        suffix = "" if connection.vendor == "sqlite" else " ON billing_priceversion"
        execute(f"DROP TRIGGER billing_priceversion_no_update{suffix}")
    assert name in play.broken()
    with pytest.raises(SystemExit) as stopped:
        call_command("checkbooks")
    assert stopped.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith(f"{name} ") and "FAIL" in line for line in lines)


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("I5", "UPDATE billing_hold SET settled_entry_id = NULL WHERE state = 'settled'"),
        ("I6", "UPDATE billing_hold SET closed_at = created_at WHERE state = 'open'"),
        ("I7", "UPDATE billing_ledgerentry SET cost_nanousd = cost_nanousd + 1 WHERE kind = 'trueup'"),
        ("I7", "UPDATE billing_ledgerentry SET cost_nanousd = cost_nanousd + 1 WHERE kind = 'refund'"),
        ("I7", "UPDATE billing_ledgerentry SET cost_nanousd = NULL WHERE kind = 'usage'"),
        ("I10", "UPDATE billing_holdline SET amount = amount + 1"),
        ("I12", "DELETE FROM billing_usagerollup"),
        ("I18", "UPDATE billing_sitehourrollup SET cost_nanousd = cost_nanousd + 1"),
        ("I18", "DELETE FROM billing_userdayrollup"),
        ("I18", "UPDATE billing_userweekrollup SET week = '2025-01-06'"),
        ("I18", "UPDATE billing_usermonthrollup SET thinking_tokens = 1"),
        ("I18", "DELETE FROM billing_pendingrollup"),
        ("I18", "UPDATE billing_overrundayrollup SET over_tokens = over_tokens + 1"),
        ("I14", "DELETE FROM billing_posting"),
        ("I16", "UPDATE billing_bucket SET drawn = drawn + 1"),
    ],
)
def test_other_corruptions_are_seen_too(name: str, statement: str) -> None:
    with unguarded():
        if connection.vendor == "postgresql":
            for table, check in (("hold", "hold_settled_has_entry"), ("hold", "hold_closed_at")):
                execute(f"ALTER TABLE billing_{table} DROP CONSTRAINT {check}")
        execute(statement)
    assert name in play.broken()


@pytest.mark.usefixtures("history")
def test_a_gap_shorter_than_a_period_is_seen() -> None:
    later = Bucket.objects.filter(period_start__gt=play.NOON).first()
    assert later is not None
    with unguarded():
        later.period_start += timedelta(hours=1)
        later.save()
    assert "I13" in play.broken()


@pytest.mark.usefixtures("history")
def test_a_period_that_reaches_into_the_next_is_seen() -> None:
    later = Bucket.objects.filter(period_start__gt=play.NOON).first()
    assert later is not None
    with unguarded():
        later.period_start -= timedelta(hours=1)
        later.save()
    assert "I13" in play.broken()


def test_a_hold_that_nobody_closes_is_seen() -> None:
    play.dispatched(now=play.NOON - timedelta(seconds=89))
    assert play.broken() == []
    play.dispatched(now=play.NOON - timedelta(seconds=91))
    assert play.broken() == ["I9"]


def test_checkbooks_prints_a_line_per_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    play.spend()
    call_command("checkbooks")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(INVARIANTS)
    assert all(" ok " in line for line in lines)
