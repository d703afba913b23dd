"""Checking the books: each invariant is one query that returns the rows that break it.

Run by ``manage.py checkbooks``. Nothing is ever repaired here: a correction is a ledger entry.
"""

# ruff: noqa: S608 - only constants are interpolated; every value is a parameter

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from billing import sql
from billing.models import ROLLED_KINDS, SUM_COLUMNS, TOKEN_COLUMNS
from billing.rollups import ADDENDS, SITE_ROLLUPS, SiteRollup

# A dispatched hold must be closed this long after its lease at the latest.
GRACE_SECONDS = 60

GUARDS = {
    "sqlite": (
        "billing_ledgerentry_no_update",
        "billing_ledgerentry_no_delete",
        "billing_posting_no_update",
        "billing_posting_no_delete",
        "billing_priceversion_no_update",
        "billing_priceversion_no_overlap_insert",
        "billing_priceversion_no_overlap_update",
        "billing_hold_stays_closed",
        "billing_bucket_no_overlap_insert",
        "billing_bucket_no_overlap_update",
    ),
    "postgresql": (
        "billing_ledgerentry_append_only",
        "billing_posting_append_only",
        "billing_priceversion_no_update",
        "billing_hold_stays_closed",
    ),
}


@dataclass(frozen=True, slots=True)
class Invariant:
    """``query`` returns the rows that break it; ``params`` are filled in by ``check``."""

    name: str
    says: str
    query: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one query found: nothing, where the books are right. At most ``limit`` rows are kept."""

    invariant: Invariant
    rows: list[tuple[Any, ...]]

    @property
    def ok(self) -> bool:
        return not self.rows


_TOKENS = " + ".join(f"e.{column}" for column in TOKEN_COLUMNS)
_PICOUSD = (
    "{0}.input_uncached_tokens * v.input_picousd + {0}.cache_read_tokens * v.cache_read_picousd"
    " + {0}.cache_write_tokens * v.cache_write_picousd + {0}.tool_prompt_tokens * v.tool_prompt_picousd"
    " + {0}.output_visible_tokens * v.output_picousd + {0}.thinking_tokens * v.thinking_picousd"
)
_ROLLUP_KEY = "user_id, local_day, conversation_id, model, bearer, group_id, purpose, turn_kind"
_ROLLED_KINDS = ", ".join(f"'{kind.value}'" for kind in ROLLED_KINDS)

INVARIANTS = (
    Invariant(
        "I1",
        "what is posted to a bucket is the sum of its postings",
        """SELECT k.id, k.posted, COALESCE(SUM(p.amount), 0) FROM billing_bucket k
        LEFT JOIN billing_posting p ON p.bucket_id = k.id GROUP BY k.id, k.posted
        HAVING k.posted <> COALESCE(SUM(p.amount), 0)""",
    ),
    Invariant(
        "I2",
        "what is held of a bucket is the sum of the lines of holds that are alive",
        # No join of buckets and holds: alive ones are so few that planners take them for one.
        """SELECT id, SUM(held) FROM (
            SELECT id, held FROM billing_bucket WHERE held <> 0
            UNION ALL
            SELECT l.bucket_id, -l.amount FROM billing_holdline l JOIN billing_hold h ON h.id = l.hold_id
            WHERE h.state IN ('open', 'dispatched')) x
        GROUP BY id HAVING SUM(held) <> 0""",
    ),
    Invariant(
        "I3",
        "slack is what postings ran over and limits were cut",
        """SELECT k.id, k.slack FROM billing_bucket k
        LEFT JOIN (SELECT bucket_id, SUM(over) AS over FROM billing_posting GROUP BY bucket_id) p
            ON p.bucket_id = k.id
        LEFT JOIN (SELECT bucket_id, SUM(slack_added) AS cut FROM billing_limitchange GROUP BY bucket_id) c
            ON c.bucket_id = k.id
        WHERE k.slack <> COALESCE(p.over, 0) + COALESCE(c.cut, 0)""",
    ),
    Invariant(
        "I4",
        "no hard bucket is over its limit and slack",
        """SELECT id, posted, held, limit_units, slack FROM billing_bucket
        WHERE hard AND limit_units IS NOT NULL AND posted + held > limit_units + slack""",
    ),
    Invariant(
        "I5",
        "a settled hold has exactly one usage entry, any other has none",
        """SELECT h.id, h.state, COUNT(e.id) FROM billing_hold h
        LEFT JOIN billing_ledgerentry e ON e.hold_id = h.id AND e.kind = 'usage'
        GROUP BY h.id, h.state, h.settled_entry_id
        HAVING COUNT(e.id) <> CASE WHEN h.state = 'settled' THEN 1 ELSE 0 END
            OR (h.state = 'settled' AND SUM(CASE WHEN e.id = h.settled_entry_id THEN 1 ELSE 0 END) <> 1)""",
    ),
    Invariant(
        "I6",
        "a hold never leaves a closed state",
        """SELECT h.id, h.state FROM billing_hold h WHERE
        (h.state = 'open' AND (h.dispatched_at IS NOT NULL OR h.closed_at IS NOT NULL))
        OR (h.state = 'dispatched' AND (h.dispatched_at IS NULL OR h.closed_at IS NOT NULL))
        OR (h.state IN ('open', 'dispatched') AND (h.settled_entry_id IS NOT NULL OR h.release_reason <> ''))
        OR (h.state = 'expired' AND h.dispatched_at IS NOT NULL)""",
    ),
    Invariant(
        "I7",
        "the cost of an entry is its tokens at its price version, rounded up once",
        f"""SELECT e.id, e.cost_nanousd FROM billing_ledgerentry e
            LEFT JOIN billing_priceversion v ON v.id = e.price_version_id
            WHERE e.kind = 'usage' AND (
                (v.id IS NULL) <> (e.cost_nanousd IS NULL)
                OR e.cost_nanousd <> (({_PICOUSD.format("e")}) + 999) / 1000)
        UNION ALL
        SELECT e.id, e.cost_nanousd FROM billing_ledgerentry e
            JOIN billing_ledgerentry u ON u.hold_id = e.hold_id AND u.kind = 'usage'
            JOIN billing_priceversion v ON v.id = e.price_version_id
            WHERE e.kind = 'trueup' AND u.cost_nanousd + e.cost_nanousd
                <> (({_PICOUSD.format("e")}) + ({_PICOUSD.format("u")}) + 999) / 1000
        UNION ALL
        SELECT e.id, e.cost_nanousd FROM billing_ledgerentry e
            JOIN billing_ledgerentry o ON o.id = e.reverses_id
            WHERE COALESCE(e.cost_nanousd, 0) <> -COALESCE(o.cost_nanousd, 0)""",
    ),
    Invariant(
        "I8",
        "token counts add up to what the provider reported",
        """SELECT e.id FROM billing_ledgerentry e WHERE e.kind = 'usage' AND NOT e.estimated AND (
            e.reported_input_tokens <> e.input_uncached_tokens + e.cache_read_tokens + e.cache_write_tokens
                + e.tool_prompt_tokens
            OR e.reported_output_tokens <> e.output_visible_tokens + e.thinking_tokens)""",
    ),
    Invariant(
        "I9",
        "every call sent has an entry within its lease and a minute, or a recorded rejection",
        """SELECT id, state, lease_expires_at FROM billing_hold
        WHERE (state IN ('open', 'dispatched') AND lease_expires_at < %s)
        OR (state = 'released' AND dispatched_at IS NOT NULL AND release_reason = '')""",
    ),
    Invariant(
        "I10",
        "what a hold takes is its input and the output cap that is sent, never more than was wanted",
        """SELECT h.id, h.output_cap_tokens, h.wanted_output_tokens, l.amount FROM billing_hold h
        LEFT JOIN billing_holdline l ON l.hold_id = h.id LEFT JOIN billing_bucket k ON k.id = l.bucket_id
        WHERE h.output_cap_tokens > h.wanted_output_tokens OR h.output_cap_tokens < h.minimum_output_tokens
        OR (k.unit = 'tokens' AND l.amount <> h.input_tokens + h.output_cap_tokens)
        OR (k.unit = 'nanousd' AND l.amount <> COALESCE(h.cost_nanousd, 0))""",
    ),
    Invariant(
        "I11",
        "an event is recorded once per bucket, limit version and kind, and none is missing",
        """SELECT bucket_id, limit_version, kind, COUNT(*) FROM billing_budgetevent
            GROUP BY bucket_id, limit_version, kind HAVING COUNT(*) > 1
        UNION ALL
        SELECT k.id, k.limit_version, CAST(k.notified_percent AS VARCHAR(8)), 0 FROM billing_bucket k
            WHERE k.notified_percent > 0 AND NOT EXISTS (
                SELECT 1 FROM billing_budgetevent e WHERE e.bucket_id = k.id
                AND e.limit_version = k.limit_version AND e.kind = CAST(k.notified_percent AS VARCHAR(8)))""",
    ),
    Invariant(
        "I12",
        "a rollup is the sum of the entries with its key",
        f"""SELECT {_ROLLUP_KEY} FROM (
            SELECT {_ROLLUP_KEY}, {", ".join(SUM_COLUMNS)} FROM billing_usagerollup
            UNION ALL
            SELECT user_id, local_day, conversation_id, model, bearer, COALESCE(group_id, 0), purpose,
                turn_kind,
                {", ".join(f"-({ADDENDS[column]})" for column in SUM_COLUMNS)}
            FROM billing_ledgerentry e WHERE e.kind IN ({_ROLLED_KINDS})) x
        GROUP BY {_ROLLUP_KEY} HAVING {" OR ".join(f"SUM({column}) <> 0" for column in SUM_COLUMNS)}""",
    ),
    Invariant(
        "I13",
        "the periods of a budget neither overlap nor leave less than a period between them",
        # Of intervals in order of their begin two overlap only where two neighbours do.
        """SELECT x.before_id, x.id FROM (
            SELECT k.id, b.period, k.period_start, k.period_end,
                LAG(k.id) OVER budgets AS before_id, LAG(k.period_end) OVER budgets AS before
            FROM billing_bucket k JOIN billing_budget b ON b.id = k.budget_id
            WINDOW budgets AS (PARTITION BY k.budget_id ORDER BY k.period_start)) x
            WHERE (x.period = 'none') <> (x.period_end IS NULL)
            OR (x.before_id IS NOT NULL AND x.before IS NULL) OR x.before > x.period_start
            OR (x.before < x.period_start AND {gap} < CASE x.period
                WHEN 'day' THEN 20 WHEN 'week' THEN 164 ELSE 668 END)""",
    ),
    Invariant(
        "I14",
        "what a user bears is posted to every budget that held it, what the house bears only to everyone's",
        """SELECT p.entry_id, p.bucket_id FROM billing_posting p
            JOIN billing_ledgerentry e ON e.id = p.entry_id JOIN billing_bucket k ON k.id = p.bucket_id
            JOIN billing_budget b ON b.id = k.budget_id
            WHERE e.bearer = 'house' AND b.scope_kind <> 'everyone'
        UNION ALL
        SELECT l.hold_id, l.bucket_id FROM billing_holdline l
            JOIN billing_hold h ON h.id = l.hold_id AND h.state = 'settled'
            JOIN billing_ledgerentry e ON e.id = h.settled_entry_id AND e.bearer = 'user'
            LEFT JOIN billing_posting p ON p.entry_id = e.id AND p.bucket_id = l.bucket_id
            WHERE p.entry_id IS NULL""",
    ),
    Invariant(
        "I15",
        "a posting is its entry's tokens or cost",
        f"""SELECT p.entry_id, p.bucket_id, p.amount FROM billing_posting p
        JOIN billing_ledgerentry e ON e.id = p.entry_id JOIN billing_bucket k ON k.id = p.bucket_id
        WHERE p.amount <> CASE WHEN k.unit = 'tokens' THEN {_TOKENS} ELSE COALESCE(e.cost_nanousd, 0) END""",
    ),
    Invariant(
        "I16",
        "what was granted remains, is drawn by buckets, or has expired",
        """SELECT g.id, g.granted_units FROM billing_grant g LEFT JOIN (
                SELECT grant_id, SUM(amount) AS drawn FROM billing_grantdraw GROUP BY grant_id) d
            ON d.grant_id = g.id
            WHERE g.granted_units <> g.remaining_units + g.expired_units + COALESCE(d.drawn, 0)
        UNION ALL
        SELECT k.id, k.drawn FROM billing_bucket k LEFT JOIN (
                SELECT bucket_id, SUM(amount) AS drawn FROM billing_grantdraw GROUP BY bucket_id) d
            ON d.bucket_id = k.id WHERE k.drawn <> COALESCE(d.drawn, 0)
        UNION ALL
        SELECT g.id, g.remaining_units FROM billing_grant g LEFT JOIN (
                SELECT grant_id, SUM(granted_units) AS units FROM billing_ledgerentry
                WHERE grant_id IS NOT NULL GROUP BY grant_id) e
            ON e.grant_id = g.id WHERE g.granted_units - g.expired_units <> COALESCE(e.units, 0)""",
    ),
    Invariant("I17", "the database guards the ledger: its triggers are in place", "{guards}"),
    Invariant(
        "I18",
        "the site's rollups and what is pending for them are the sums of the entries",
        "{site_rollups}",
    ),
)

_GAP_HOURS = {
    "sqlite": "(julianday(x.period_start) - julianday(x.before)) * 24",
    "postgresql": "EXTRACT(EPOCH FROM x.period_start - x.before) / 3600",
}
_TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'",
}


def check(invariant: Invariant, *, now: datetime | None = None, limit: int = 20) -> Finding:
    """Run one invariant's query."""
    vendor = connection.vendor
    site_rollups = " UNION ALL ".join(_wrong_sums(rollup) for rollup in SITE_ROLLUPS)
    guards = " UNION ALL ".join(f"SELECT '{name}' AS name" for name in GUARDS[vendor])
    query = (
        invariant.query.replace("{gap}", _GAP_HOURS[vendor])
        .replace("{guards}", f"SELECT g.name FROM ({guards}) g WHERE g.name NOT IN ({_TRIGGERS[vendor]})")
        .replace("{site_rollups}", site_rollups)
    )
    params = []
    if "%s" in query:
        params.append(sql.time_in((now or timezone.now()) - timedelta(seconds=GRACE_SECONDS)))
    # In right books no row is ever found: the plan must be that for all rows, not for the first few.
    whole = f"WITH broken AS MATERIALIZED ({query}) SELECT * FROM broken LIMIT {limit:d}"
    with _room_to_sort():
        return Finding(invariant, sql.rows(whole, params))


@contextmanager
def _room_to_sort() -> Iterator[None]:
    """PostgreSQL's 4 MB would put each sort of ten million rows on the disk."""
    if connection.vendor != "postgresql":  # a transaction would keep every writer of SQLite waiting
        yield
        return
    with transaction.atomic():
        sql.rows("SELECT set_config('work_mem', '64MB', true)", ())
        yield


def _wrong_sums(rollup: SiteRollup) -> str:
    """Keys of a rollup of the site where it and what is pending differ from the entries."""
    key = next(iter(rollup.keys))
    rolled = f"e.kind IN ({_ROLLED_KINDS})"
    sums = ", ".join(rollup.sums)
    taken_off = ", ".join(f"-({addend})" for addend in rollup.sums.values())
    return f"""SELECT CAST('{rollup.table}' AS VARCHAR(40)), CAST({key} AS VARCHAR(30)) FROM (
            SELECT {rollup.columns}, {sums} FROM {rollup.table}
            UNION ALL
            SELECT {rollup.entry_columns}, {taken_off} FROM {rollup.source}
            WHERE {rolled} AND NOT EXISTS (SELECT 1 FROM billing_pendingrollup p WHERE p.entry_id = e.id)) x
        GROUP BY {rollup.columns} HAVING {" OR ".join(f"SUM({column}) <> 0" for column in rollup.sums)}"""


def check_books(*, now: datetime | None = None) -> Iterator[Finding]:
    """All invariants, one after the other, as findings."""
    for invariant in INVARIANTS:
        yield check(invariant, now=now)
