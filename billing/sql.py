"""The few statements that run for every call are written in SQL; this is what both engines need for it.

Values always travel as parameters. Column types that the engines store differently (UUIDs, times)
pass through ``uuid_in``/``time_in`` and ``uuid_out``/``time_out``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

# Connections that live for one request only should not pay for preparing.
PREPARED_AFTER = 3
_PLACEHOLDER = re.compile(r"(?<!%)%s")


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
    return int((_on_sqlite if _is_sqlite() else _by_django)(statement, params).rowcount)


def rows(statement: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Execute and return all rows."""
    return _fetched((_on_sqlite if _is_sqlite() else _by_django)(statement, params))


def prepared_run(statement: str, params: Sequence[Any]) -> int:
    """``run`` for the statements of every call: prepared by PostgreSQL once per connection."""
    return int(_prepared(statement, params).rowcount)


def prepared_rows(statement: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """``rows`` for the statements of every call. Integers travel as 64 bits wide, whatever their value,
    so that a statement is one prepared statement and not one per width.
    """
    return _fetched(_prepared(statement, params))


def _fetched(cursor: Any) -> list[tuple[Any, ...]]:
    with connection.wrap_database_errors:
        return list(cursor.fetchall())


def _by_django(statement: str, params: Sequence[Any]) -> Any:
    cursor = connection.cursor()
    cursor.execute(statement, params)
    return cursor


def _prepared(statement: str, params: Sequence[Any]) -> Any:
    """A cursor that has executed it: the engine's own, or Django's where that has something to add."""
    if _is_sqlite():
        return _on_sqlite(statement, params)
    wrapper = connections[DEFAULT_DB_ALIAS]
    if not settings.PREPARED_STATEMENTS or wrapper.queries_logged or wrapper.execute_wrappers:
        return _by_django(statement, params)
    cursor = _own_cursor(_opened(wrapper))
    with wrapper.wrap_database_errors:
        cursor.execute(statement, params)
    return cursor


def _on_sqlite(statement: str, params: Sequence[Any]) -> Any:
    """SQLite's own cursor: Django's rewrites the statement each time, which takes as long as to run it."""
    wrapper = connections[DEFAULT_DB_ALIAS]
    if wrapper.queries_logged or wrapper.execute_wrappers:
        return _by_django(statement, params)
    raw = _opened(wrapper)
    with wrapper.wrap_database_errors:
        return raw.execute(_with_question_marks(statement), params)


def _opened(wrapper: BaseDatabaseWrapper) -> Any:
    """The driver's connection, after the checks that Django makes before each statement."""
    wrapper.ensure_connection()
    wrapper.validate_thread_sharing()
    wrapper.validate_no_broken_transaction()
    return wrapper.connection


@lru_cache(maxsize=512)
def _with_question_marks(statement: str) -> str:
    """As Django's cursor puts it; statements of the hot path are few and come again and again."""
    return _PLACEHOLDER.sub("?", statement).replace("%%", "%")


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
