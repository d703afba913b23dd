"""Units on their way between a budget's grants and its running bucket's limit.

A hold that does not fit draws what is short; when it turns out not to be needed, it goes back. What
expires first is burnt first. Nothing is counted twice: granted = remaining + drawn + expired.
"""

# ruff: noqa: S608 - only placeholders are interpolated; every value is a parameter

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from billing import sql
from billing.buckets import BucketRow

_NEVER = datetime.max.replace(tzinfo=UTC)


def draw_shortage(row: BucketRow, amount: int, *, now: datetime) -> None:
    """Raise the bucket's limit by what ``amount`` lacks, out of the budget's grants.

    The caller holds the bucket's lock and has found that limit and grants together suffice.
    """
    if not row.bounded or not row.grantable:
        return
    assert row.limit_units is not None
    short = amount - (row.limit_units - row.posted - row.held)
    if short <= 0:
        return
    left = short
    for grant_id, remaining, _, _ in sorted(_live(row.budget_id, now), key=_burning_order):
        part = min(left, remaining)
        _move(grant_id, row.bucket_id, part)
        left -= part
        if not left:
            break
    if left:
        raise RuntimeError("grants changed under the bucket's lock; nothing was taken")
    sql.run(
        "UPDATE billing_bucket SET limit_units = limit_units + %s, drawn = drawn + %s WHERE id = %s",
        (short, short, row.bucket_id),
    )


def _live(budget_id: int, now: datetime) -> list[tuple[int, int, datetime | None, int]]:
    """(id, remaining, expires_at, priority) of grants with a rest, locked by ascending id."""
    found = sql.rows(
        "SELECT id, remaining_units, expires_at, priority FROM billing_grant WHERE budget_id = %s"
        " AND remaining_units > 0 AND (expires_at IS NULL OR expires_at > %s) ORDER BY id" + sql.row_lock(),
        (budget_id, sql.time_in(now)),
    )
    return [(row[0], row[1], sql.time_out(row[2]), row[3]) for row in found]


def _burning_order(grant: tuple[int, int, datetime | None, int]) -> tuple[datetime, int, int]:
    return grant[2] or _NEVER, grant[3], grant[0]


def _move(grant_id: int, bucket_id: int | None, units: int) -> None:
    """From the grant to the bucket."""
    sql.run(
        "UPDATE billing_grant SET remaining_units = remaining_units - %s WHERE id = %s", (units, grant_id)
    )
    sql.run(
        "INSERT INTO billing_grantdraw (grant_id, bucket_id, amount) VALUES (%s, %s, %s)"
        " ON CONFLICT (grant_id, bucket_id)"
        " DO UPDATE SET amount = billing_grantdraw.amount + excluded.amount",
        (grant_id, bucket_id, units),
    )


def return_surplus(bucket_ids: Sequence[int]) -> None:
    """Give back what these buckets drew and no longer need. The caller holds their locks."""
    if not bucket_ids:
        return
    surplus = sql.rows(
        "SELECT id, CASE WHEN drawn < limit_units - posted - held THEN drawn"
        " ELSE limit_units - posted - held END FROM billing_bucket"
        f" WHERE id IN ({sql.marks(len(bucket_ids))})"
        " AND drawn > 0 AND limit_units > posted + held ORDER BY id",
        bucket_ids,
    )
    for bucket_id, units in surplus:
        left = units
        for grant_id, amount in _drawn_by(bucket_id):
            part = min(left, amount)
            _give(grant_id, bucket_id, part)
            left -= part
            if not left:
                break
        sql.run(
            "UPDATE billing_bucket SET limit_units = limit_units - %s, drawn = drawn - %s WHERE id = %s",
            (units, units, bucket_id),
        )


def _drawn_by(bucket_id: int) -> list[tuple[int, int]]:
    """(grant, amount) of a bucket's draws, last burnt first, the grants locked by ascending id."""
    found = sql.rows(
        "SELECT g.id, d.amount, g.expires_at, g.priority FROM billing_grantdraw d"
        " JOIN billing_grant g ON g.id = d.grant_id WHERE d.bucket_id = %s AND d.amount > 0 ORDER BY g.id"
        + sql.row_lock("g"),
        (bucket_id,),
    )
    ordered = sorted(
        ((row[0], row[1], sql.time_out(row[2]), row[3]) for row in found), key=_burning_order, reverse=True
    )
    return [(grant[0], grant[1]) for grant in ordered]


def _give(grant_id: int, bucket_id: int, units: int) -> None:
    sql.run(
        "UPDATE billing_grantdraw SET amount = amount - %s WHERE grant_id = %s AND bucket_id = %s",
        (units, grant_id, bucket_id),
    )
    sql.run(
        "UPDATE billing_grant SET remaining_units = remaining_units + %s WHERE id = %s", (units, grant_id)
    )
