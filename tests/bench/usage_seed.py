"""A ledger of any size for ``bench-usage``, written by the database itself: years in minutes.

Everything that checkbooks looks at is right: holds, lines, buckets, postings, costs, rollups. Indexes that
no constraint needs are made anew after the rows, as a restore would do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from billing.models import TOKEN_COLUMNS
from billing.rollups import ADDENDS, SITE_ROLLUPS, SiteRollup

FIRST_DAY = datetime(2025, 10, 1, tzinfo=UTC)
INPUT_PICOUSD, OUTPUT_PICOUSD = 100_000, 400_000
# Left to the sweeper, as between two of its rounds.
PENDING = 500
# One user has half a percent of everything: the heaviest of a site.
HEAVY_USER = 1
_TABLES = (
    "billing_hold",
    "billing_holdline",
    "billing_ledgerentry",
    "billing_posting",
    "billing_usagerollup",
    "billing_bucket",
)


@dataclass(frozen=True, slots=True)
class Size:
    entries: int
    users: int
    days: int
    hours_a_day: int = 24  # with sums of calls

    @property
    def last_day(self) -> datetime:
        return FIRST_DAY + timedelta(days=self.days - 1)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How an engine says it; ``n`` is the number of a row, from 1."""

    series: str
    hexadecimal: Callable[[str, int], str]
    uuid: Callable[[str], str]
    time: Callable[[str], str]
    day: Callable[[str], str]
    true: str
    false: str


def _postgresql() -> _Dialect:
    start = FIRST_DAY.isoformat()
    return _Dialect(
        series="generate_series(CAST({first} AS bigint), {last}) AS s(n)",
        hexadecimal=lambda value, width: f"lpad(to_hex(CAST({value} AS bigint)), {width}, '0')",
        uuid=lambda text: f"CAST({text} AS uuid)",
        time=lambda seconds: f"TIMESTAMPTZ '{start}' + make_interval(secs => {seconds})",
        day=lambda number: f"DATE '{FIRST_DAY.date()}' + CAST({number} AS integer)",
        true="true",
        false="false",
    )


def _sqlite() -> _Dialect:
    start = FIRST_DAY.strftime("%Y-%m-%d %H:%M:%S")
    return _Dialect(
        series="(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"
        " SELECT n FROM s)",
        hexadecimal=lambda value, width: f"printf('%0{width}x', {value})",
        uuid=lambda text: text,
        time=lambda seconds: (
            f"strftime('%Y-%m-%d %H:%M:%S', '{start}', '+' || CAST({seconds} AS INTEGER) || ' seconds')"
        ),
        day=lambda number: f"date('{FIRST_DAY.date()}', '+' || ({number}) || ' days')",
        true="1",
        false="0",
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _execute(statement: str, params: Sequence[int] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def fill(size: Size, *, say: Callable[[str], None] = _say) -> None:
    """Write the users, their budgets, and ``size.entries`` calls with all that belongs to them."""
    price = people(size.users)
    if connection.vendor == "postgresql":
        _fill_quickly_on_postgresql(size, price, say)
    else:
        _execute("PRAGMA foreign_keys = OFF")
        _write(size, price, _sqlite(), say)
        _execute("ANALYZE")
        _execute("PRAGMA foreign_keys = ON")


def fill_a_little(size: Size) -> None:
    """The same inside a transaction, with every guard on: for tests."""
    price = people(size.users)
    _write(size, price, _sqlite() if connection.vendor == "sqlite" else _postgresql(), lambda _: None)


def people(users: int) -> int:
    """Accounts with a budget each, and a price for all models; returns the price version's number."""
    _write_users(users)
    return _write_price()


def _write_users(users: int) -> None:
    from billing.models import Account, Budget, Plan

    plan = Plan.objects.get(name="unlimited")
    Account.objects.bulk_create(
        (Account(user_id=user_id, plan=plan) for user_id in range(1, users + 1)), batch_size=1000
    )
    Budget.objects.bulk_create(
        (
            Budget(
                pk=user_id,
                scope_kind="user",
                scope_id=str(user_id),
                unit="tokens",
                period="day",
                limit_units=10**12,
                valid_from=FIRST_DAY,
            )
            for user_id in range(1, users + 1)
        ),
        batch_size=1000,
    )
    if connection.vendor == "postgresql":
        _execute("SELECT setval('billing_budget_id_seq', %s)", [users])


def _write_price() -> int:
    from billing.prices import TierPrice, set_price

    tiers = [TierPrice(INPUT_PICOUSD, OUTPUT_PICOUSD)]
    return set_price(model="bench:*", tiers=tiers, valid_from=FIRST_DAY)[0].pk


def _fill_quickly_on_postgresql(size: Size, price: int, say: Callable[[str], None]) -> None:
    """Without foreign keys, triggers and indexes while the rows are written."""
    _execute("SET synchronous_commit = off")
    _execute("SET maintenance_work_mem = '1GB'")
    _execute("SET session_replication_role = replica")
    names = ", ".join(f"'{name}'" for name in _TABLES)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.indexname, i.indexdef FROM pg_indexes i LEFT JOIN pg_constraint c"
            f" ON c.conname = i.indexname WHERE i.tablename IN ({names}) AND c.oid IS NULL"
        )
        indexes = cursor.fetchall()
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            f" WHERE contype IN ('x', 'p', 'u') AND conrelid::regclass::text IN ({names})"
            " AND NOT EXISTS (SELECT 1 FROM pg_constraint f WHERE f.confrelid = pg_constraint.conrelid"
            " AND f.conindid = pg_constraint.conindid AND f.contype = 'f')"
        )
        constraints = cursor.fetchall()
    for name, _ in indexes:
        _execute(f'DROP INDEX "{name}"')
    for table, name, _ in constraints:
        _execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    _write(size, price, _postgresql(), say)
    started = time.perf_counter()
    for table, name, definition in constraints:
        _execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    for _, definition in indexes:
        _execute(definition)
    say(f"  indexes: {time.perf_counter() - started:.0f} s")
    _execute("SET session_replication_role = DEFAULT")
    _execute("SET synchronous_commit = DEFAULT")
    _execute("VACUUM ANALYZE")
    _execute("CHECKPOINT")


def _write(size: Size, price: int, dialect: _Dialect, say: Callable[[str], None]) -> None:
    statements = _statements(size, price, dialect)
    for name, statement in statements.items():
        started = time.perf_counter()
        if "{first}" in statement:
            step = 1_000_000
            for first in range(1, size.entries + 1, step):
                _execute(statement.format(first=first, last=min(first + step - 1, size.entries)))
        else:
            _execute(statement)
        say(f"  {name}: {time.perf_counter() - started:.0f} s")


def _statements(size: Size, price: int, d: _Dialect) -> dict[str, str]:
    """Table -> the statement that fills it; with ``{first}`` and ``{last}`` where it is filled in parts."""
    seconds = f"((n - 1) * {size.days * 86_400 / size.entries!r})"
    day_number = f"((n - 1) * {size.days} / {size.entries})"
    user = f"(CASE WHEN n % 200 = 0 THEN {HEAVY_USER} ELSE 1 + (n * 7919) % {size.users} END)"
    bucket = f"({day_number} * {size.users} + {user})"
    inputs, outputs = "(200 + n % 700)", "(100 + (n * 31) % 400)"
    cost = f"(({inputs} * {INPUT_PICOUSD} + {outputs} * {OUTPUT_PICOUSD} + 999) / 1000)"
    # Older than anything that uuid7 makes today, and in order.
    entry = d.uuid(f"'0190' || {d.hexadecimal('n', 12)} || '7000800000000001'")
    hold = d.uuid(f"'0190' || {d.hexadecimal('n', 12)} || '7000800000000002'")
    refund = d.uuid(f"'0190' || {d.hexadecimal('n', 12)} || '7000800000000003'")
    generation = d.uuid(f"'0190' || {d.hexadecimal('n', 12)} || '4000800000000004'")
    chat = d.uuid(
        f"'0190' || {d.hexadecimal(user, 12)} || '40008000' || {d.hexadecimal(f'({day_number} / 3)', 8)}"
    )
    model = f"'bench:model-' || (({user} + {day_number} / 3) % 5)"
    purpose = "CASE WHEN n % 10 = 0 THEN 'title' ELSE 'answer' END"
    kind = "CASE n % 4 WHEN 0 THEN 'code' WHEN 1 THEN 'explanation' WHEN 2 THEN 'follow-up' ELSE 'other' END"
    bearer = "CASE WHEN n % 50 = 0 THEN 'house' ELSE 'user' END"
    estimated = f"CASE WHEN n % 20 = 0 THEN {d.true} ELSE {d.false} END"
    group = f"(CASE WHEN {user} % 4 = 0 THEN NULL ELSE {user} % 50 + 1 END)"
    written, day = d.time(seconds), d.day(day_number)
    tokens = ", ".join(TOKEN_COLUMNS)
    entry_columns = (
        "id, created_at, kind, idempotency_key, bearer, hold_id, reverses_id, user_id, group_id,"
        f" conversation_id, generation_id, attempt, purpose, turn_kind, model, price_version_id, {tokens},"
        " cost_nanousd, estimated, local_day, reported_input_tokens, reported_output_tokens, note"
    )
    reported = "CASE WHEN n % 20 = 0 THEN NULL ELSE {} END"
    rows = f" FROM {d.series}"
    no_limit = f"{10**12}"
    return {
        "holds": (
            "INSERT INTO billing_hold (id, idempotency_key, fingerprint, user_id, group_id, conversation_id,"
            " generation_id, attempt, purpose, model, price_version_id, input_tokens, output_cap_tokens,"
            " wanted_output_tokens, minimum_output_tokens, cost_nanousd, local_day, state, created_at,"
            " dispatched_at, lease_expires_at, closed_at, checkpoint_output_tokens, release_reason,"
            f" settled_entry_id) SELECT {hold}, 'bench:' || n, 'f', {user}, {group}, {chat}, {generation},"
            f" 1, {purpose}, {model}, {price}, {inputs}, {outputs}, {outputs}, 1, {cost}, {day}, 'settled',"
            f" {written}, {written}, {written}, {written}, 0, '', {entry}" + rows
        ),
        "hold lines": (
            "INSERT INTO billing_holdline (hold_id, bucket_id, amount)"
            f" SELECT {hold}, {bucket}, {inputs} + {outputs}" + rows
        ),
        "entries": (
            f"INSERT INTO billing_ledgerentry ({entry_columns}) SELECT {entry}, {written}, 'usage',"
            f" 'usage:bench:' || n, {bearer}, {hold}, NULL, {user}, {group}, {chat}, {generation}, 1,"
            f" {purpose}, {kind}, {model}, {price}, {inputs}, 0, 0, 0, {outputs}, 0, {cost}, {estimated},"
            f" {day}, {reported.format(inputs)}, {reported.format(outputs)}, ''" + rows
        ),
        # Of entries that the house bears: nothing is posted to the user's budgets.
        "refunds": (
            f"INSERT INTO billing_ledgerentry ({entry_columns}) SELECT {refund}, {written}, 'refund',"
            f" 'refund:bench:' || n, {bearer}, NULL, {entry}, {user}, {group}, {chat}, {generation}, 1,"
            f" {purpose}, {kind}, {model}, {price}, -{inputs}, 0, 0, 0, -{outputs}, 0, -{cost}, {d.false},"
            f" {day}, NULL, NULL, 'bench'{rows} WHERE n % 10000 = 0"
        ),
        "postings": (
            "INSERT INTO billing_posting (entry_id, bucket_id, amount, over)"
            f" SELECT {entry}, {bucket}, {inputs} + {outputs}, 0{rows} WHERE n % 50 <> 0"
        ),
        "buckets": (
            "INSERT INTO billing_bucket (id, budget_id, unit, timezone, period_start, period_end,"
            " limit_units, limit_version, hard, posted, held, slack, drawn, notified_percent)"
            f" SELECT x.bucket_id, (x.bucket_id - 1) % {size.users} + 1, 'tokens', 'UTC',"
            f" {_day_start(d, size, 0)}, {_day_start(d, size, 1)}, {no_limit}, 1, {d.true},"
            " COALESCE(p.posted, 0), 0, 0, 0, 0"
            " FROM (SELECT DISTINCT bucket_id FROM billing_holdline) x LEFT JOIN ("
            " SELECT bucket_id, SUM(amount) AS posted FROM billing_posting GROUP BY bucket_id) p"
            " ON p.bucket_id = x.bucket_id"
        ),
        "usage rollups": _rolled_up(
            "billing_usagerollup",
            # The days first: a rollup grows by days, so a user's rows lie apart.
            "local_day, user_id, conversation_id, model, bearer, group_id, purpose, turn_kind",
            "e.local_day, e.user_id, e.conversation_id, e.model, e.bearer, COALESCE(e.group_id, 0),"
            " e.purpose, e.turn_kind",
        ),
        "pending": (
            "INSERT INTO billing_pendingrollup (entry_id)"
            f" SELECT id FROM billing_ledgerentry ORDER BY id DESC LIMIT {min(PENDING, size.entries)}"
        ),
        **{
            rollup.table.removeprefix("billing_"): _rolled_up(
                rollup.table, rollup.columns, rollup.entry_columns, of=rollup
            )
            for rollup in SITE_ROLLUPS
        },
        **({"bucket numbers": _BUCKET_NUMBERS} if connection.vendor == "postgresql" else {}),
    }


_BUCKET_NUMBERS = "SELECT setval('billing_bucket_id_seq', (SELECT MAX(id) FROM billing_bucket))"


def _day_start(d: _Dialect, size: Size, after: int) -> str:
    return d.time(f"(86400 * ((x.bucket_id - 1) / {size.users} + {after}))")


def _rolled_up(table: str, columns: str, entry_columns: str, *, of: SiteRollup | None = None) -> str:
    """``of``: a rollup of the site, which does not hold yet what is pending."""
    addends = ADDENDS if of is None else of.sums
    sums = ", ".join(f"SUM({addend})" for addend in addends.values())
    numbers = ", ".join(str(number) for number in range(1, columns.count(",") + 2))
    where = " WHERE NOT EXISTS (SELECT 1 FROM billing_pendingrollup p WHERE p.entry_id = e.id)" if of else ""
    source = of.source if of else "billing_ledgerentry e"
    return (
        f"INSERT INTO {table} ({columns}, {', '.join(addends)}) SELECT {entry_columns}, {sums}"
        f" FROM {source}{where} GROUP BY {numbers} ORDER BY {numbers}"
    )
