"""The rollups of the site: what keys they have, and adding to them what is pending.

Every one of them is described by ``SITE_ROLLUPS``: folding, reading and checking the books follow it.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from billing import sql
from billing.models import TOKEN_COLUMNS, EntryKind

FOLD_AT_ONCE = 1000

_HOUR = {
    "postgresql": "date_trunc('hour', e.created_at, 'UTC')",
    "sqlite": "substr(e.created_at, 1, 13) || ':00:00'",
}
_MONTH = {
    "postgresql": "CAST(date_trunc('month', e.local_day) AS date)",
    "sqlite": "substr(e.local_day, 1, 7) || '-01'",
}
_WEEK = {  # its Monday
    "postgresql": "CAST(date_trunc('week', e.local_day) AS date)",
    "sqlite": "date(e.local_day, 'weekday 0', '-6 days')",
}


_IS_USAGE = f"e.kind = '{EntryKind.USAGE.value}'"
# What an entry ``e`` adds to each of SUM_COLUMNS.
ADDENDS: dict[str, str] = {
    "calls": f"CASE WHEN {_IS_USAGE} THEN 1 ELSE 0 END",
    "estimated_calls": f"CASE WHEN {_IS_USAGE} AND e.estimated THEN 1 ELSE 0 END",
    "unpriced_calls": f"CASE WHEN {_IS_USAGE} AND e.cost_nanousd IS NULL THEN 1 ELSE 0 END",
    **{column: f"e.{column}" for column in TOKEN_COLUMNS},
    "cost_nanousd": "COALESCE(e.cost_nanousd, 0)",
}


@dataclass(frozen=True, slots=True)
class SiteRollup:
    """A table of sums. ``keys``: its key columns, and how each follows from an entry ``e``; None = as it
    is called there. ``sums``: its columns of sums, and what an entry of ``source`` adds to each.
    """

    table: str
    keys: dict[str, dict[str, str] | str | None]
    sums: dict[str, str] = field(default_factory=lambda: ADDENDS)
    source: str = "billing_ledgerentry e"

    def of_entry(self, column: str) -> str:
        """The key column as an expression of an entry ``e``."""
        expression = self.keys[column]
        if isinstance(expression, dict):
            return expression[connection.vendor]
        return expression or f"e.{column}"

    @property
    def columns(self) -> str:
        return ", ".join(self.keys)

    @property
    def entry_columns(self) -> str:
        return ", ".join(self.of_entry(column) for column in self.keys)


_WHAT: dict[str, dict[str, str] | str | None] = {
    "model": None,
    "bearer": None,
    "purpose": None,
    "turn_kind": None,
}
_WHO: dict[str, dict[str, str] | str | None] = {
    "user_id": None,
    "group_id": "COALESCE(e.group_id, 0)",
    "bearer": None,
}
SITE_HOUR = SiteRollup("billing_sitehourrollup", {"hour": _HOUR, **_WHAT})
SITE_DAY = SiteRollup("billing_sitedayrollup", {"local_day": None, **_WHAT})
USER_DAY = SiteRollup("billing_userdayrollup", {"local_day": None, **_WHO})
USER_WEEK = SiteRollup("billing_userweekrollup", {"week": _WEEK, **_WHO})
USER_MONTH = SiteRollup("billing_usermonthrollup", {"month": _MONTH, **_WHO})

_INPUT = "e.input_uncached_tokens + e.cache_read_tokens + e.cache_write_tokens + e.tool_prompt_tokens"
_OUTPUT = "e.output_visible_tokens + e.thinking_tokens"
_OVER_TOKENS = f"{_INPUT} + {_OUTPUT} - h.input_tokens - h.output_cap_tokens"
_OVER_COST = "e.cost_nanousd - h.cost_nanousd"
# How calls kept to what was held for them. Corrections have no hold ``h`` here, and add nothing.
OVERRUN_DAY = SiteRollup(
    "billing_overrundayrollup",
    {"local_day": None, "model": None},
    {
        "calls": "CASE WHEN h.id IS NULL THEN 0 ELSE 1 END",
        "over_calls": f"CASE WHEN {_OVER_TOKENS} > 0 OR {_OVER_COST} > 0 THEN 1 ELSE 0 END",
        "over_tokens": f"CASE WHEN {_OVER_TOKENS} > 0 THEN {_OVER_TOKENS} ELSE 0 END",
        "over_nanousd": f"CASE WHEN {_OVER_COST} > 0 THEN {_OVER_COST} ELSE 0 END",
        "held_input_tokens": "COALESCE(h.input_tokens, 0)",
        "held_output_tokens": "COALESCE(h.output_cap_tokens, 0)",
        "input_tokens": f"CASE WHEN h.id IS NULL THEN 0 ELSE {_INPUT} END",
        "output_tokens": f"CASE WHEN h.id IS NULL THEN 0 ELSE {_OUTPUT} END",
    },
    f"billing_ledgerentry e LEFT JOIN billing_hold h ON h.id = e.hold_id AND {_IS_USAGE}",
)
SITE_ROLLUPS = (SITE_HOUR, SITE_DAY, USER_DAY, USER_WEEK, USER_MONTH, OVERRUN_DAY)


def fold_pending(*, limit: int = 20_000) -> int:
    """Add up to ``limit`` pending entries to the rollups of the site; returns how many. Run by the sweeper.

    Several may fold at once: each takes entries that nobody else holds.
    """
    folded = 0
    while folded < limit:
        count = _fold(min(FOLD_AT_ONCE, limit - folded))
        folded += count
        if count < FOLD_AT_ONCE:
            break
    return folded


def _fold(limit: int) -> int:
    # Without a lock first: an idle site's sweeps need not queue for SQLite's one writer.
    if not sql.rows("SELECT entry_id FROM billing_pendingrollup LIMIT 1", ()):
        return 0
    skip = "" if connection.vendor == "sqlite" else " FOR UPDATE SKIP LOCKED"
    with transaction.atomic():
        taken: list[Any] = [
            row[0]
            for row in sql.rows(
                f"SELECT entry_id FROM billing_pendingrollup ORDER BY entry_id LIMIT %s{skip}", (limit,)
            )
        ]
        if not taken:
            return 0
        marks = sql.marks(len(taken))
        for rollup in SITE_ROLLUPS:
            sql.run(_fold_statement(rollup, marks), taken)
        sql.run(f"DELETE FROM billing_pendingrollup WHERE entry_id IN ({marks})", taken)
    return len(taken)


def _fold_statement(rollup: SiteRollup, marks: str) -> str:
    # In the order of the key, so that two who fold at once cannot wait for each other in a circle.
    order = ", ".join(str(number) for number in range(1, len(rollup.keys) + 1))
    sums = ", ".join(f"SUM({addend})" for addend in rollup.sums.values())
    return (
        f"INSERT INTO {rollup.table} ({rollup.columns}, {', '.join(rollup.sums)})"
        f" SELECT {rollup.entry_columns}, {sums} FROM {rollup.source} WHERE e.id IN ({marks})"
        f" GROUP BY {order} ORDER BY {order} ON CONFLICT ({rollup.columns}) DO UPDATE SET "
        + ", ".join(f"{column} = {rollup.table}.{column} + excluded.{column}" for column in rollup.sums)
    )
