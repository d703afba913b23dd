"""Ways around the database's guards, to see that the checks of the books notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from billing.append_only import lifted


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def unguarded() -> Iterator[None]:
    """Append-only triggers, CHECKs and exclusions are off until the test's transaction is rolled back."""
    connection.check_constraints()  # PostgreSQL alters no table with pending checks
    triggers: list[tuple[str, str]] = []
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'billing_bucket'"
            )
            triggers = cursor.fetchall()
        for name, _ in triggers:
            execute(f"DROP TRIGGER {name}")
        execute("PRAGMA ignore_check_constraints = ON")
    else:
        execute("ALTER TABLE billing_bucket DROP CONSTRAINT billing_bucket_no_overlap")
        execute("ALTER TABLE billing_bucket DROP CONSTRAINT bucket_never_over_limit")
    try:
        with lifted():
            yield
            connection.check_constraints()
    finally:
        if connection.vendor == "sqlite":
            execute("PRAGMA ignore_check_constraints = OFF")
        for _, statement in triggers:
            execute(statement)
