from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, ProgrammingError, connection, transaction
from django.db.transaction import TransactionManagementError

from billing import accounts, sql
from billing.models import LedgerEntry
from tests.billing import play

pytestmark = pytest.mark.django_db


@pytest.fixture
def postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite prepares every statement by itself")


def prepared() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.usefixtures("postgresql")
def test_the_statements_of_a_call_are_prepared_once_each() -> None:
    accounts.set_plan(user_id=1, plan="unlimited")
    for tokens in [100] * 5 + [40_000] * 5:  # integers of two widths
        play.spend(tokens=tokens)
    found = prepared()
    assert len(found) == len(set(found))
    assert sum("INSERT INTO billing_ledgerentry" in statement for statement in found) == 1
    assert play.broken() == []


@pytest.mark.usefixtures("postgresql")
def test_nothing_is_prepared_behind_a_pooler(settings: Any) -> None:
    settings.PREPARED_STATEMENTS = False
    before = prepared()
    for _ in range(6):
        play.spend()
    assert prepared() == before
    assert LedgerEntry.objects.count() == 6


def test_errors_are_those_of_django() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        sql.prepared_run("INSERT INTO billing_account (user_id) VALUES (%s)", (1,))
    assert sql.prepared_rows("SELECT 1", ()) == [(1,)]


def test_a_broken_transaction_takes_no_more_statements() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            sql.prepared_rows("SELECT 1", ())


def test_errors_of_the_plain_statements_are_those_of_django_too() -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        sql.run("INSERT INTO billing_account (user_id) VALUES (%s)", (1,))
    missing = OperationalError if connection.vendor == "sqlite" else ProgrammingError
    with pytest.raises(missing), transaction.atomic():
        sql.rows("SELECT nothing FROM nowhere", ())
    assert sql.rows("SELECT %s, 'a%%b' LIKE 'a%%'", ("%s",))[0][0] == "%s"


def test_whoever_counts_statements_sees_them_all(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4):
        sql.rows("SELECT 1", ())
        sql.prepared_rows("SELECT 1", ())
        sql.run("UPDATE billing_account SET timezone = timezone", ())
        sql.prepared_run("UPDATE billing_account SET timezone = timezone", ())


def test_a_wrapper_around_statements_sees_them_all() -> None:
    seen: list[str] = []

    def note(execute: Any, statement: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(statement)
        return execute(statement, params, many, context)

    with connection.execute_wrapper(note):
        sql.rows("SELECT 1", ())
        sql.prepared_rows("SELECT 2", ())
    assert seen == ["SELECT 1", "SELECT 2"]
