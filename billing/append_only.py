"""The database's guards on the ledger, and the one way to lift them.

Entries and postings refuse UPDATE and DELETE (on PostgreSQL TRUNCATE too). ``lifted`` takes those
triggers away for the time of a block and puts them back. It is for the flush of a test database only:
nothing in the product calls it, and corrections are entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection

TABLES = ("billing_ledgerentry", "billing_posting")


def _sqlite_triggers() -> dict[str, str]:
    """Name -> statement of the triggers on the append-only tables, as the database has them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN (%s, %s)", TABLES
        )
        return dict(cursor.fetchall())


@contextmanager
def lifted() -> Iterator[None]:
    """Run a block without the append-only triggers. For test databases alone."""
    if connection.vendor == "sqlite":
        triggers = _sqlite_triggers()
        _execute(f'DROP TRIGGER "{name}"' for name in triggers)
        try:
            yield
        finally:
            _execute(triggers.values())
    else:
        _execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only" for table in TABLES)
        try:
            yield
        finally:
            _execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_append_only" for table in TABLES)


def _execute(statements: Iterable[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
