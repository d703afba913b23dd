"""Reading how calls kept to their holds: what ran over, and how much of what was held was used."""

# ruff: noqa: S608 - only constants and placeholders are interpolated; every value is a parameter

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from billing import sql
from billing.rollups import OVERRUN_DAY


@dataclass(frozen=True, slots=True)
class Overruns:
    """Sums over the settled calls of one model. ``over_*`` is what calls used beyond their own holds."""

    model: str
    calls: int
    over_calls: int
    over_tokens: int
    over_nanousd: int
    held_input_tokens: int
    held_output_tokens: int
    input_tokens: int
    output_tokens: int


_COLUMNS = tuple(OVERRUN_DAY.sums)
_SUMS = ", ".join(f"CAST(SUM({column}) AS BIGINT)" for column in _COLUMNS)
_ADDENDS = ", ".join(OVERRUN_DAY.sums.values())
_DAYS = "local_day BETWEEN %s AND %s"
# The rollup and what it does not hold yet, of one moment.
_READ = (
    f"SELECT model, {_SUMS} FROM ("
    f"SELECT model, {', '.join(_COLUMNS)} FROM {OVERRUN_DAY.table} WHERE {_DAYS}"
    f" UNION ALL SELECT e.model, {_ADDENDS} FROM {OVERRUN_DAY.source}"
    f" WHERE e.id IN (SELECT entry_id FROM billing_pendingrollup) AND e.{_DAYS}"
    ") x GROUP BY model HAVING SUM(calls) > 0 ORDER BY SUM(calls) DESC, model"
)


def overruns(
    first_day: date, last_day: date, *, model: str | None = None, provider: str | None = None
) -> list[Overruns]:
    """By model, the one with the most calls first. Days are inclusive, as in usage reports. One query."""
    days = (sql.day_in(first_day), sql.day_in(last_day))
    found = [Overruns(*row) for row in sql.rows(_READ, (*days, *days))]
    return [
        one
        for one in found
        if (model is None or one.model == model)
        and (provider is None or one.model.partition(":")[0] == provider)
    ]
