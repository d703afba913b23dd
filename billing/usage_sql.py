"""The statements behind ``usage_queries``: which rollup answers, and the sums out of it.

One user, group or conversation is answered by ``UsageRollup``, the site by its own rollups, together with
the entries that these do not hold yet; both in one statement, so the figures are of one moment.
"""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from billing import sql
from billing.models import SUM_COLUMNS, TOKEN_COLUMNS
from billing.rollup_pieces import Piece, pieces
from billing.rollups import ADDENDS, SITE_DAY, SITE_HOUR, USER_DAY, SiteRollup
from billing.usage_sums import Asked, Key, Sums, Usage, UsageRow, usage_of

_SUMS = ", ".join(f"CAST(SUM({column}) AS BIGINT) AS {column}" for column in SUM_COLUMNS)
_MANY = ("user_id", "conversation_id")
_RANKS = {"tokens": TOKEN_COLUMNS, "cost": ("cost_nanousd",), "calls": ("calls",)}


@dataclass(frozen=True, slots=True)
class _Figure:
    """A column of what is added up: of a rollup ``r`` and of an entry ``e``."""

    name: str
    of_rollup: str
    of_entry: str


_Condition = tuple[str, Any]
_Figures = Sequence[_Figure]
_ALL_FIGURES = tuple(_Figure(column, f"r.{column}", ADDENDS[column]) for column in SUM_COLUMNS)
_RANK_FIGURES = {
    order: _Figure(
        "rank",
        " + ".join(f"r.{column}" for column in columns),
        " + ".join(ADDENDS[column] for column in columns),
    )
    for order, columns in _RANKS.items()
}

_CHART_FIGURES = (
    _Figure("calls", "r.calls", ADDENDS["calls"]),
    replace(_RANK_FIGURES["tokens"], name="tokens"),
    _Figure("cost_nanousd", "r.cost_nanousd", ADDENDS["cost_nanousd"]),
)


@dataclass(frozen=True, slots=True)
class _Query:
    """A statement and its parameters."""

    text: str
    params: tuple[Any, ...]


def summed(
    asked: Asked, column: str | None, *, order: str = "tokens", limit: int | None = None
) -> list[UsageRow]:
    """Sums by one column (None: all together), a row per key and bearer. One query.

    ``limit``: the greatest by what users bear are enough, of users and conversations, of which there are
    thousands. Two queries: which they are, and all sums of these few.
    """
    columns = [] if column is None else [column]
    only: Sequence[Any] | None = None
    if limit is not None and column in _MANY:
        # As many queries for nothing as for much.
        only = _greatest(asked, column, order, limit) or [None]
    rows = _added_up(_source(asked, columns, only=only), [*columns, "bearer"])
    width = len(columns)
    return [
        UsageRow(_key(column, row[0]) if column else "", usage_of(row[width], Sums(*row[width + 1 :])))
        for row in rows
    ]


def _added_up(source: _Query, columns: Sequence[str]) -> list[Any]:
    keys = ", ".join(columns)
    return sql.rows(f"SELECT {keys}, {_SUMS} FROM ({source.text}) x GROUP BY {keys}", source.params)


def _greatest(asked: Asked, column: str, order: str, limit: int) -> list[Any]:
    """The keys with the most: to rank thousands takes one sum of each, not all of them."""
    source = _source(asked, [column], (_RANK_FIGURES[order],))
    found = sql.rows(
        f"SELECT {column} FROM ({source.text}) x GROUP BY {column}"
        f" ORDER BY SUM(CASE WHEN bearer = 'user' THEN rank ELSE 0 END) DESC, SUM(rank) DESC, {column}"
        " LIMIT %s",
        (*source.params, limit),
    )
    return [row[0] for row in found]


def summed_by_day(asked: Asked, column: str) -> list[tuple[date, Key, Usage]]:
    """Sums by day and one column, a row per key and bearer."""
    rows = _added_up(_source(asked, ["local_day", column]), ["local_day", column, "bearer"])
    return [(sql.day_out(row[0]), _key(column, row[1]), usage_of(row[2], Sums(*row[3:]))) for row in rows]


def summed_by_hour(
    first: datetime, last: datetime, *, model: str | None, kind: str | None
) -> dict[datetime, Usage]:
    """Sums by hour of UTC."""
    rows = _added_up(_of_hours(first, last, model, kind, _ALL_FIGURES), ["hour", "bearer"])
    found: dict[datetime, Usage] = {}
    for row in rows:
        hour = _hour(row[0])
        found[hour] = found.get(hour, Usage()) + usage_of(row[1], Sums(*row[2:]))
    return found


def totals_by_hour(
    first: datetime, last: datetime, *, model: str | None, kind: str | None
) -> dict[datetime, tuple[int, int, int]]:
    """Calls, tokens and nano-USD by hour of UTC, whoever bears them: what a chart draws of an hour."""
    source = _of_hours(first, last, model, kind, _CHART_FIGURES)
    sums = ", ".join(f"CAST(SUM({one.name}) AS BIGINT)" for one in _CHART_FIGURES)
    rows = sql.rows(f"SELECT hour, {sums} FROM ({source.text}) x GROUP BY hour", source.params)
    return {_hour(at): (calls, tokens, cost_nanousd) for at, calls, tokens, cost_nanousd in rows}


def _hour(value: Any) -> datetime:
    found = sql.time_out(value)
    assert found is not None
    return found


def _of_hours(
    first: datetime, last: datetime, model: str | None, kind: str | None, figures: _Figures
) -> _Query:
    begin, end = (
        one.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        for one in (first, last + timedelta(hours=1))
    )
    filters = {"model": model, "turn_kind": kind}
    wanted = [(f"{{}}{column} = %s", value) for column, value in filters.items() if value is not None]
    at = ("{}hour >= %s AND {}hour < %s", (sql.time_in(begin), sql.time_in(end)))
    written = ("e.created_at >= %s AND e.created_at < %s", at[1])
    return _with_pending(SITE_HOUR, ["hour"], [_of("r.", at)], [written], wanted, figures)


def conversations(asked: Asked) -> tuple[int, Sums]:
    """How many conversations had billed usage, and its sums."""
    source = _source(asked, ["conversation_id"])
    rows = sql.rows(
        f"SELECT COUNT(DISTINCT conversation_id), {_SUMS} FROM ({source.text}) x WHERE bearer = 'user'",
        source.params,
    )
    count, *sums = rows[0]  # sums of nothing are None
    return (count, Sums(*sums)) if count else (0, Sums())


def _key(column: str | None, value: Any) -> Key:
    if column == "local_day":
        return sql.day_out(value)
    key: Key | None = sql.uuid_out(value) if column == "conversation_id" else value
    assert key is not None
    return key


def _source(
    asked: Asked,
    columns: Sequence[str],
    figures: _Figures = _ALL_FIGURES,
    *,
    only: Sequence[Any] | None = None,
) -> _Query:
    """Rows of (the columns, bearer, the figures), still to be added up: several may have the same key.

    ``only``: the keys of the first column that are wanted.
    """
    what = _what(asked)
    personal = asked.user_id is not None or asked.group_id is not None or asked.conversation_id is not None
    by_payer = "user_id" in columns or "group_id" in columns
    if personal or "conversation_id" in columns or (by_payer and (what or "local_day" in columns)):
        return _of_users(asked, columns, [*what, *_only(None, columns, only)], figures)
    if by_payer:
        return _by_payer(asked, columns, figures, only)
    days = ("{}local_day BETWEEN %s AND %s", _days(asked))
    folded = [_of("r.", days), *_only(None, columns, only)]
    pending = [_of("e.", days), *_only(SITE_DAY, columns, only)]
    return _with_pending(SITE_DAY, columns, folded, pending, what, figures)


def _only(rollup: SiteRollup | None, columns: Sequence[str], keys: Sequence[Any] | None) -> list[_Condition]:
    """That the first column is one of ``keys``: of the entries that ``rollup`` is made from, or its own."""
    if keys is None:
        return []
    column = f"r.{columns[0]}" if rollup is None else rollup.of_entry(columns[0])
    return [(f"{column} IN ({sql.marks(len(keys))})", tuple(keys))]


def _what(asked: Asked) -> list[_Condition]:
    found: list[_Condition] = []
    for column, value in (("model", asked.model), ("turn_kind", asked.kind), ("purpose", asked.purpose)):
        if value is not None:
            found.append((f"{{}}{column} = %s", value))
    if asked.provider is not None:
        prefix = f"{asked.provider}:"
        found.append((f"substr({{}}model, 1, {len(prefix)}) = %s", prefix))
    return found


def _days(asked: Asked) -> tuple[Any, Any]:
    return sql.day_in(asked.first_day), sql.day_in(asked.last_day)


def _of(alias: str, condition: _Condition) -> _Condition:
    return condition[0].replace("{}", alias), condition[1]


def _select(table: str, columns: str, sums: str, conditions: Sequence[_Condition]) -> _Query:
    params: list[Any] = []
    for _, value in conditions:
        params += value if isinstance(value, tuple) else (value,)
    where = " AND ".join(text for text, _ in conditions)
    return _Query(f"SELECT {columns}, {sums} FROM {table} WHERE {where}", tuple(params))


def _grouped(
    table: str, columns: Sequence[str], conditions: Sequence[_Condition], figures: _Figures = _ALL_FIGURES
) -> _Query:
    """The rollup's sums, added up already: less to carry to the next step than its rows."""
    listed = ", ".join(f"r.{column}" for column in (*columns, "bearer"))
    sums = ", ".join(f"CAST(SUM({one.of_rollup}) AS BIGINT) AS {one.name}" for one in figures)
    query = _select(f"{table} r", listed, sums, conditions)
    return _Query(f"{query.text} GROUP BY {listed}", query.params)


def _of_users(asked: Asked, columns: Sequence[str], what: Sequence[_Condition], figures: _Figures) -> _Query:
    conditions: list[_Condition] = []
    if asked.user_id is not None:
        conditions.append(("r.user_id = %s", asked.user_id))
    if asked.group_id is not None:
        conditions.append(("r.group_id = %s", asked.group_id))
    conditions.append(("r.local_day BETWEEN %s AND %s", _days(asked)))
    if asked.conversation_id is not None:
        conditions.append(("r.conversation_id = %s", sql.uuid_in(asked.conversation_id)))
    conditions += [_of("r.", condition) for condition in what]
    return _grouped("billing_usagerollup", columns, conditions, figures)


def _by_payer(asked: Asked, columns: Sequence[str], figures: _Figures, keys: Sequence[Any] | None) -> _Query:
    """From the rollups of months, weeks and days, as many as lie wholly within: few rows for any range."""
    only = _only(None, columns, keys)
    parts = [
        _grouped(one.rollup.table, columns, [_between(one), *only], figures)
        for one in pieces(asked.first_day, asked.last_day)
    ]
    days = ("e.local_day BETWEEN %s AND %s", _days(asked))
    parts.append(_pending(USER_DAY, columns, [days, *_only(USER_DAY, columns, keys)], figures))
    return _together(parts)


def _between(piece: Piece) -> _Condition:
    return f"r.{piece.key} BETWEEN %s AND %s", (sql.day_in(piece.first), sql.day_in(piece.last))


def _with_pending(
    rollup: SiteRollup,
    columns: Sequence[str],
    folded: Sequence[_Condition],
    pending: Sequence[_Condition],
    what: Sequence[_Condition],
    figures: _Figures = _ALL_FIGURES,
) -> _Query:
    """The rollup's rows and the entries that it does not hold yet; ``what`` holds of both."""
    return _together(
        [
            _grouped(
                rollup.table, columns, [*folded, *(_of("r.", condition) for condition in what)], figures
            ),
            _pending(rollup, columns, [*pending, *(_of("e.", condition) for condition in what)], figures),
        ]
    )


def _pending(
    rollup: SiteRollup, columns: Sequence[str], conditions: Sequence[_Condition], figures: _Figures
) -> _Query:
    listed = ", ".join(rollup.of_entry(column) for column in (*columns, "bearer"))
    # CROSS JOIN: SQLite keeps the order of the tables, and must begin with the small one.
    table = "billing_pendingrollup p CROSS JOIN billing_ledgerentry e"
    joined: list[_Condition] = [("e.id = p.entry_id", ()), *conditions]
    return _select(table, listed, ", ".join(one.of_entry for one in figures), joined)


def _together(parts: Sequence[_Query]) -> _Query:
    return _Query(
        " UNION ALL ".join(part.text for part in parts),
        tuple(value for part in parts for value in part.params),
    )
