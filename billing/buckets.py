"""Which budgets apply to a call, and their running buckets."""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from billing import sql
from billing.errors import BudgetName
from billing.models import Period
from billing.periods import next_bounds

# A budget with the latest of its buckets that has begun, if any. The subselect walks one index entry.
_APPLYING = """
SELECT b.id, b.scope_kind, b.scope_id, b.model, b.unit, b.period, b.timezone, b.thresholds,
       b.limit_units, b.limit_version, b.hard,
       k.id, k.timezone, k.period_start, k.period_end, k.posted, k.held, k.slack,
       k.limit_units, k.limit_version, k.hard, k.notified_percent, k.drawn,
       (SELECT SUM(g.remaining_units) FROM billing_grant g WHERE g.budget_id = b.id AND g.remaining_units > 0
        AND (g.expires_at IS NULL OR g.expires_at > %s)),
       k.suspended_at
FROM billing_budget b LEFT JOIN billing_bucket k ON k.id = (
    SELECT x.id FROM billing_bucket x WHERE x.budget_id = b.id AND x.period_start <= %s
    ORDER BY x.period_start DESC LIMIT 1)
WHERE (b.valid_to IS NULL OR b.valid_to > %s)
  AND (b.scope_kind, b.scope_id) IN (VALUES {scopes})
"""


@dataclass(slots=True)
class BucketRow:
    """A budget that applies, with its running bucket; ``bucket_id`` None until one is opened."""

    budget_id: int
    scope_kind: str
    scope_id: str
    model: str | None
    unit: str
    period: str
    timezone: str
    thresholds: str
    limit_units: int | None
    limit_version: int
    hard: bool
    bucket_id: int | None = None
    bucket_timezone: str = ""
    period_start: datetime | None = None
    period_end: datetime | None = None
    posted: int = 0
    held: int = 0
    slack: int = 0
    notified_percent: int = 0
    drawn: int = 0
    grantable: int = 0
    suspended: bool = False

    @property
    def name(self) -> BudgetName:
        return BudgetName(
            scope=self.scope_kind,
            scope_id=self.scope_id,
            unit=self.unit,
            period=self.period,
            model=self.model,
        )

    @property
    def bounded(self) -> bool:
        """Whether it can refuse anything."""
        return self.hard and self.limit_units is not None

    @property
    def remaining(self) -> int:
        """What may still be held; negative after an overrun. Slack is never allowance."""
        assert self.full_limit is not None
        return self.full_limit - self.posted - self.held

    @property
    def full_limit(self) -> int | None:
        """The limit with what grants can still add to it."""
        return None if self.limit_units is None else self.limit_units + self.grantable


def user_scope(user_id: int) -> tuple[str, str]:
    return "user", str(user_id)


def scopes_of(*, user_id: int, group_id: int | None, conversation_id: UUID | None) -> list[tuple[str, str]]:
    """The (kind, id) pairs whose budgets a call of this user in this conversation meets."""
    scopes = [("everyone", ""), user_scope(user_id), ("own", str(user_id))]
    if group_id is not None:
        scopes.append(("group", str(group_id)))
    if conversation_id is not None:
        scopes.append(("conversation", str(conversation_id)))
    return scopes


def applying(scopes: Sequence[tuple[str, str]], *, model: str | None, now: datetime) -> list[BucketRow]:
    """Budgets in force at ``now`` for these scopes, with their running bucket where there is one.

    ``model`` None means whatever the model; else budgets of other models are left out.
    """
    at = sql.time_in(now)
    statement = _APPLYING.format(scopes=sql.tuples(len(scopes), 2))
    params = [at, at, at, *(part for scope in scopes for part in scope)]
    if model is not None:
        statement += " AND (b.model IS NULL OR b.model = %s)"
        params.append(model)
    return [_read(row, now) for row in sql.prepared_rows(statement, params)]


def _read(row: tuple[object, ...], now: datetime) -> BucketRow:
    found = BucketRow(*row[:11])  # type: ignore[arg-type]  # columns as selected above
    found.grantable = int(row[23] or 0)  # type: ignore[call-overload]
    if row[11] is None:
        return found
    end = sql.time_out(row[14])  # type: ignore[arg-type]
    found.period_end = end
    found.bucket_timezone = str(row[12])
    if end is not None and end <= now:
        return found  # a former bucket: only its end and its zone matter, for the next one
    found.bucket_id, found.period_start = row[11], sql.time_out(row[13])  # type: ignore[assignment,arg-type]
    found.posted, found.held, found.slack = row[15:18]  # type: ignore[assignment]
    found.limit_units, found.limit_version = row[18:20]  # type: ignore[assignment]
    found.hard, found.notified_percent = bool(row[20]), row[21]  # type: ignore[assignment]
    found.drawn = row[22]  # type: ignore[assignment]
    found.suspended = row[24] is not None
    return found


def period_of(row: BucketRow, now: datetime) -> tuple[datetime, datetime | None]:
    """Bounds of the running bucket, or of the one that would be opened at ``now``."""
    if row.bucket_id is not None:
        assert row.period_start is not None
        return row.period_start, row.period_end
    return next_bounds(
        row.period, row.timezone, now, previous_end=row.period_end, previous_zone=row.bucket_timezone
    )


def open_missing(found: Sequence[BucketRow], now: datetime) -> bool:
    """Insert the buckets that the first call of a period finds missing. True if there were any.

    Two processes may try at once: one inserts, the other does nothing and reads it.
    """
    missing = [row for row in found if row.bucket_id is None]
    for row in missing:
        start, end = period_of(row, now)
        if row.period != Period.NONE:
            end = _clipped_end(row.budget_id, start, end)
        sql.prepared_run(
            "INSERT INTO billing_bucket (budget_id, unit, timezone, period_start, period_end, limit_units,"
            " limit_version, hard, posted, held, slack, drawn, notified_percent)"
            " SELECT id, unit, %s, %s, %s, limit_units, limit_version, hard, 0, 0, 0, 0, 0"
            " FROM billing_budget WHERE id = %s ON CONFLICT DO NOTHING",
            (row.timezone, sql.time_in(start), sql.time_in(end), row.budget_id),
        )
    return bool(missing)


def _clipped_end(budget_id: int, start: datetime, end: datetime | None) -> datetime | None:
    """A clock that was set back may find a later bucket already there."""
    later = sql.prepared_rows(
        "SELECT MIN(period_start) FROM billing_bucket WHERE budget_id = %s AND period_start > %s",
        (budget_id, sql.time_in(start)),
    )[0][0]
    following = sql.time_out(later)
    return end if following is None or end is None else min(end, following)


def running(scopes: Sequence[tuple[str, str]], *, model: str, now: datetime) -> list[BucketRow]:
    """As ``applying``, with every bucket open and, on PostgreSQL, locked in the order of their ids."""
    found = applying(scopes, model=model, now=now)
    if open_missing(found, now):
        found = applying(scopes, model=model, now=now)
    found.sort(key=lambda row: row.bucket_id or 0)
    lock(found, now)
    return found


def lock(found: Sequence[BucketRow], now: datetime) -> None:
    """Lock the rows by ascending id and refresh their sums. Nothing to do on SQLite."""
    clause = sql.row_lock()
    if not clause or not found:
        return
    fresh = sql.prepared_rows(
        "SELECT id, posted, held, slack, limit_units, limit_version, hard, notified_percent, drawn"
        f" FROM billing_bucket WHERE id IN ({sql.marks(len(found))}) ORDER BY id{clause}",
        [row.bucket_id for row in found],
    )
    by_id = {row[0]: row[1:] for row in fresh}
    for row in found:
        (
            row.posted,
            row.held,
            row.slack,
            row.limit_units,
            row.limit_version,
            row.hard,
            row.notified_percent,
            row.drawn,
        ) = by_id[row.bucket_id]
    if any(row.grantable for row in found):
        _refresh_grants(found, now)


def _refresh_grants(found: Sequence[BucketRow], now: datetime) -> None:
    """What grants can add, read anew under the locks of the buckets that draw from them."""
    sums = sql.prepared_rows(
        "SELECT budget_id, SUM(remaining_units) FROM billing_grant WHERE remaining_units > 0"
        f" AND (expires_at IS NULL OR expires_at > %s) AND budget_id IN ({sql.marks(len(found))})"
        " GROUP BY budget_id",
        [sql.time_in(now), *(row.budget_id for row in found)],
    )
    by_budget = dict(sums)
    for row in found:
        row.grantable = int(by_budget.get(row.budget_id, 0))


@lru_cache(maxsize=256)
def read_thresholds(text: str) -> tuple[int, ...]:
    return tuple(sorted(int(percent) for percent in json.loads(text)))


def percent_used(posted: int, limit_units: int) -> int:
    """Whole percent, rounded down; a limit of 0 is used up."""
    return posted * 100 // limit_units if limit_units else 100
