"""The few statements that run for every call are written in SQL; this is what both engines need for it.

Values always travel as parameters. Column types that the engines store differently (UUIDs, times)
pass through ``uuid_in``/``time_in`` and ``uuid_out``/``time_out``.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

# Connections that live for one request only should not pay for preparing.
PREPARED_AFTER = 3


@cache
def _is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def joined() -> AbstractContextManager[None]:
    """The caller's transaction where there is one (no savepoint), else an own one.

    Sound only for verbs that raise before their first write or not at all.
    """
    return nullcontext() if connection.in_atomic_block else transaction.atomic()


def run(statement: str, params: Sequence[Any]) -> int:
    """Execute and return the number of rows changed."""
    cursor = connection.cursor()
    cursor.execute(statement, params)
    return int(cursor.rowcount)


def rows(statement: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Execute and return all rows."""
    cursor = connection.cursor()
    cursor.execute(statement, params)
    return list(cursor.fetchall())


def prepared_run(statement: str, params: Sequence[Any]) -> int:
    """``run`` for the statements of every call: prepared by PostgreSQL once per connection."""
    return int(_prepared(statement, params).rowcount)


def prepared_rows(statement: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """``rows`` for the statements of every call. Integers travel as 64 bits wide, whatever their value,
    so that a statement is one prepared statement and not one per width.
    """
    return list(_prepared(statement, params).fetchall())


def _prepared(statement: str, params: Sequence[Any]) -> Any:
    """A cursor that has executed it: PostgreSQL's own, or Django's where that has something to add."""
    if (
        _is_sqlite()
        or not settings.PREPARED_STATEMENTS
        or connection.queries_logged
        or connection.execute_wrappers
    ):
        cursor: Any = connection.cursor()
        cursor.execute(statement, params)
        return cursor
    connection.ensure_connection()
    connection.validate_thread_sharing()
    connection.validate_no_broken_transaction()
    cursor = _own_cursor(connection.connection)
    with connection.wrap_database_errors:
        cursor.execute(statement, params)
    return cursor


def _own_cursor(raw: Any) -> Any:
    """The psycopg cursor for prepared statements; one for as long as the connection is open."""
    cursor = getattr(raw, "chatsite_cursor", None)
    if cursor is None:
        from psycopg import Cursor
        from psycopg.types.numeric import Int8Dumper

        # Django's own cursors put values into the text and never prepare; this concerns ours alone.
        raw.prepare_threshold = PREPARED_AFTER
        cursor = raw.chatsite_cursor = Cursor(raw)
        cursor.adapters.register_dumper(int, Int8Dumper)
    return cursor


def row_lock(alias: str = "") -> str:
    """A locking clause, empty on SQLite where BEGIN IMMEDIATE already serialises the writers."""
    if _is_sqlite():
        return ""
    return f" FOR UPDATE OF {alias}" if alias else " FOR UPDATE"


def marks(count: int) -> str:
    """``count`` placeholders for an IN list."""
    return ",".join(["%s"] * count)


def tuples(count: int, width: int) -> str:
    """``count`` rows of ``width`` placeholders for VALUES."""
    return ",".join(["(" + marks(width) + ")"] * count)


def uuid_in(value: UUID | None) -> UUID | str | None:
    return value.hex if value is not None and _is_sqlite() else value


def uuid_out(value: UUID | str | None) -> UUID | None:
    return value if value is None or isinstance(value, UUID) else UUID(value)


def time_in(value: datetime | None) -> Any:
    """As Django stores it: SQLite gets naive UTC as text."""
    if value is None or not _is_sqlite():
        return value
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


def time_out(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


def day_in(value: date) -> Any:
    return value.isoformat() if _is_sqlite() else value


def day_out(value: date | str) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value
