"""Writing an entry: the entry, its postings, the buckets, the rollup and the threshold events, together.

The one place that changes ``posted``. The caller's transaction holds the locks of the buckets.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billing import draws, sql
from billing.buckets import percent_used, read_thresholds
from billing.models import ROLLED_KINDS, SUM_COLUMNS, TOKEN_COLUMNS, BudgetEvent, EntryKind, LedgerEntry

_ENTRY_COLUMNS = (
    "id, created_at, kind, idempotency_key, bearer, hold_id, reverses_id, user_id, group_id, conversation_id,"
    " generation_id, attempt, purpose, turn_kind, model, price_version_id, "
    + ", ".join(TOKEN_COLUMNS)
    + ", cost_nanousd,"
    " estimated, local_day, reported_input_tokens, reported_output_tokens, usage_raw, grant_id,"
    " granted_units, note, actor_id"
)
_INSERT_ENTRY = (
    f"INSERT INTO billing_ledgerentry ({_ENTRY_COLUMNS}) VALUES ({sql.marks(32)})"
    " ON CONFLICT (idempotency_key) DO NOTHING"
)
_ROLLUP_KEY = "user_id, local_day, conversation_id, model, bearer, group_id, purpose, turn_kind"
_UPSERT_ROLLUP = (
    f"INSERT INTO billing_usagerollup ({_ROLLUP_KEY}, {', '.join(SUM_COLUMNS)})"
    f" VALUES ({sql.marks(8 + len(SUM_COLUMNS))}) ON CONFLICT ({_ROLLUP_KEY}) DO UPDATE SET "
    + ", ".join(f"{column} = billing_usagerollup.{column} + excluded.{column}" for column in SUM_COLUMNS)
)


@dataclass(slots=True)
class Move:
    """What an entry does to one bucket: gives back ``held``, adds ``amount``, of which ``over`` unheld.

    ``posts`` False: the line only goes back (what the house bears is not posted to the user's budgets).
    The rest is the bucket before the move, for the threshold events; ``limit_units`` with what grants
    can add.
    """

    bucket_id: int
    held: int
    amount: int
    over: int
    posts: bool
    posted: int
    limit_units: int | None
    limit_version: int
    notified_percent: int
    thresholds: str
    drawn: int
    viable_units: int = 0

    @property
    def passed(self) -> list[int]:
        """Thresholds that the move reaches and that were not yet recorded for this version of the limit.

        The last one counts as reached too when less is left than the smallest useful call takes.
        """
        if not self.posts or self.limit_units is None or self.amount <= 0:
            return []
        after = self.posted + self.amount
        percent = percent_used(after, self.limit_units)
        if self.limit_units - after < self.viable_units:
            percent = max(percent, 100)
        return [t for t in read_thresholds(self.thresholds) if self.notified_percent < t <= percent]


def write(entry: LedgerEntry, moves: Sequence[Move]) -> list[BudgetEvent] | None:
    """Write the entry and all that follows from it. None = an entry with this key is there already."""
    if not _insert_entry(entry):
        return None
    posting = [move for move in moves if move.posts]
    if posting:
        _insert_postings(entry, posting)
    if moves:
        _update_buckets(moves)
        draws.return_surplus([move.bucket_id for move in moves if move.drawn])
    if entry.kind in ROLLED_KINDS:
        _add_to_rollup(entry)
    return _record_passed(posting, entry.created_at)


def _insert_entry(entry: LedgerEntry) -> bool:
    inserted = sql.prepared_run(
        _INSERT_ENTRY,
        (
            sql.uuid_in(entry.id),
            sql.time_in(entry.created_at),
            entry.kind,
            entry.idempotency_key,
            entry.bearer,
            sql.uuid_in(entry.hold_id),
            sql.uuid_in(entry.reverses_id),
            entry.user_id,
            entry.group_id,
            sql.uuid_in(entry.conversation_id),
            sql.uuid_in(entry.generation_id),
            entry.attempt,
            entry.purpose,
            entry.turn_kind,
            entry.model,
            entry.price_version_id,
            *_tokens(entry),
            entry.cost_nanousd,
            entry.estimated,
            sql.day_in(entry.local_day),
            entry.reported_input_tokens,
            entry.reported_output_tokens,
            None if entry.usage_raw is None else json.dumps(entry.usage_raw),
            entry.grant_id,
            entry.granted_units,
            entry.note,
            entry.actor_id,
        ),
    )
    entry._state.adding, entry._state.db = False, "default"
    return inserted == 1


def _tokens(entry: LedgerEntry) -> list[int]:
    return [getattr(entry, column) for column in TOKEN_COLUMNS]


def _insert_postings(entry: LedgerEntry, posting: Sequence[Move]) -> None:
    key = sql.uuid_in(entry.id)
    params: list[Any] = []
    for move in posting:
        params += (key, move.bucket_id, move.amount, move.over)
    sql.prepared_run(
        "INSERT INTO billing_posting (entry_id, bucket_id, amount, over) VALUES "
        + sql.tuples(len(posting), 4),
        params,
    )


def _update_buckets(moves: Sequence[Move]) -> None:
    params: list[int] = []
    for move in moves:
        posted = move.amount if move.posts else 0
        notified = max(move.passed, default=move.notified_percent)
        params += (move.bucket_id, move.held, posted, move.over if move.posts else 0, notified)
    # Both engines name the columns of VALUES column1, column2, ...
    changed = sql.prepared_run(
        "UPDATE billing_bucket SET held = held - move.column2, posted = posted + move.column3,"
        " slack = slack + move.column4, notified_percent = move.column5"
        f" FROM (VALUES {sql.tuples(len(moves), 5)}) AS move WHERE billing_bucket.id = move.column1",
        params,
    )
    assert changed == len(moves), "a bucket of the hold is gone"


def _add_to_rollup(entry: LedgerEntry) -> None:
    usage = entry.kind == EntryKind.USAGE
    sql.prepared_run(
        _UPSERT_ROLLUP,
        (
            entry.user_id,
            sql.day_in(entry.local_day),
            sql.uuid_in(entry.conversation_id),
            entry.model,
            entry.bearer,
            entry.group_id or 0,
            entry.purpose,
            entry.turn_kind,
            int(usage),
            int(usage and entry.estimated),
            int(usage and entry.cost_nanousd is None),
            *_tokens(entry),
            entry.cost_nanousd or 0,
        ),
    )
    sql.prepared_run("INSERT INTO billing_pendingrollup (entry_id) VALUES (%s)", (sql.uuid_in(entry.id),))


def _record_passed(posting: Sequence[Move], now: datetime) -> list[BudgetEvent]:
    events = []
    for move in posting:
        for percent in move.passed:
            assert move.limit_units is not None
            event = record_event(
                bucket_id=move.bucket_id,
                limit_version=move.limit_version,
                kind=str(percent),
                posted=move.posted + move.amount,
                limit_units=move.limit_units,
                now=now,
            )
            if event is not None:
                events.append(event)
    return events


def record_event(
    *, bucket_id: int, limit_version: int, kind: str, posted: int, limit_units: int, now: datetime
) -> BudgetEvent | None:
    """Insert the event unless it was recorded before: once per bucket, version of the limit and kind."""
    inserted = sql.prepared_rows(
        "INSERT INTO billing_budgetevent (bucket_id, limit_version, kind, posted, limit_units, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id",
        (bucket_id, limit_version, kind, posted, limit_units, sql.time_in(now)),
    )
    if not inserted:
        return None
    event = BudgetEvent(
        id=inserted[0][0],
        bucket_id=bucket_id,
        limit_version=limit_version,
        kind=kind,
        posted=posted,
        limit_units=limit_units,
        created_at=now,
    )
    event._state.adding, event._state.db = False, "default"
    return event
