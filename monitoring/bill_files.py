"""Providers' billing files: Google Cloud's cost table, OpenAI's usage and cost exports, as sums per day and
model. Pure.

Columns are found by their names, in any order; what stands before the header (Google puts the account there)
and total lines after it are passed over. Amounts are integers: tokens and nano-USD.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import zip_longest

LINES_AT_MOST = 200_000
PREAMBLE_LINES = 40
NANO = 10**9
MOST = Decimal(10**15)

Row = Mapping[str, str]


class BillUnreadable(ValueError):
    """What is wrong with the file, in words for the operator."""


@dataclass(frozen=True, slots=True)
class BillSum:
    """What the provider counted on one of its days for one of its models. None: the file does not say.

    ``input_tokens`` include cached ones.
    """

    day: date
    model: str
    requests: int | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanousd: int | None = None

    def __add__(self, other: BillSum) -> BillSum:
        def both(one: int | None, two: int | None) -> int | None:
            return one if two is None else two if one is None else one + two

        return replace(
            self,
            requests=both(self.requests, other.requests),
            input_tokens=both(self.input_tokens, other.input_tokens),
            cached_tokens=both(self.cached_tokens, other.cached_tokens),
            output_tokens=both(self.output_tokens, other.output_tokens),
            cost_nanousd=both(self.cost_nanousd, other.cost_nanousd),
        )


@dataclass(frozen=True, slots=True)
class BillFile:
    """``zone``: where the provider's days begin. ``sums``: by day and model, in order."""

    format: str
    provider: str
    zone: str
    sums: tuple[BillSum, ...]


def read_bill(text: str) -> BillFile:
    """Raises BillUnreadable for anything that is none of the known files."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    for number, header in enumerate(rows):
        names = [cell.strip().lower() for cell in header]
        for known in _FORMATS:
            if known.needs <= set(names):
                found = _sums(known, names, rows)
                return BillFile(known.name, known.provider, known.zone, found)
        if number >= PREAMBLE_LINES:
            break
    raise BillUnreadable("This is neither Google Cloud's cost table nor OpenAI's usage or cost export.")


def _sums(known: _Format, names: Sequence[str], rows: Iterator[list[str]]) -> tuple[BillSum, ...]:
    found: dict[tuple[date, str], BillSum] = {}
    try:
        for number, cells in enumerate(rows, start=1):
            if number > LINES_AT_MOST:
                raise BillUnreadable(f"More than {LINES_AT_MOST:,} lines: export fewer days.")
            one = _read(known, _row(names, cells), number)
            if one is not None:
                key = (one.day, one.model)
                found[key] = found[key] + one if key in found else one
    except csv.Error as error:
        raise BillUnreadable(f"The file is no CSV: {error}.") from error
    if not found:
        raise BillUnreadable("The file holds no line about a model.")
    return tuple(found[key] for key in sorted(found))


def _row(names: Sequence[str], cells: Sequence[str]) -> Row:
    """A short line has empty cells at its end."""
    return dict(zip_longest(names, cells[: len(names)], fillvalue=""))


def _read(known: _Format, row: Row, number: int) -> BillSum | None:
    try:
        return known.read(row)
    except (ValueError, InvalidOperation, OverflowError) as error:
        if isinstance(error, BillUnreadable):
            raise
        raise BillUnreadable(f"Line {number} after the header cannot be read: {error}.") from error


# --- Google Cloud -----------------------------------------------------------------

_GEMINI = re.compile(
    r"\b(gemini)[\s-]+(\d+(?:\.\d+)?)[\s-]+(flash[\s-]+lite|flash|pro|ultra)\b", re.IGNORECASE
)
_COST = re.compile(r"(?:unrounded )?cost \((.*)\)")


def _google(row: Row) -> BillSum | None:
    found = _GEMINI.search(row["sku description"])
    start = row.get("usage start date", "").strip()
    if found is None or not start:
        return None  # another product, or a line of totals
    end = row.get("usage end date", "").strip() or start
    day = _day(start)
    if (_day(end) - day).days > 1:
        raise BillUnreadable("Lines span several days: export the cost table by day.")
    sku = row["sku description"].lower()
    tokens = _tokens(row)
    cached = tokens if "cach" in sku and "storage" not in sku else None
    is_input = "input" in sku or cached is not None
    return BillSum(
        day,
        "-".join(part.lower().replace(" ", "-") for part in found.groups()),
        input_tokens=tokens if is_input and "output" not in sku else None,
        cached_tokens=cached,
        output_tokens=tokens if "output" in sku else None,
        cost_nanousd=_google_cost(row),
    )


def _tokens(row: Row) -> int | None:
    amount = _number(row.get("usage amount", ""))
    unit = row.get("usage unit", "count").strip().lower()
    factor = {"count": 1, "tokens": 1, "token": 1, "1k tokens": 1000, "million tokens": 10**6}.get(unit)
    return None if amount is None or factor is None else _whole(amount * factor, 1)


def _google_cost(row: Row) -> int | None:
    named = {name: match for name in row if (match := _COST.fullmatch(name))}
    for name in sorted(named, key=len, reverse=True):  # the unrounded one first
        if named[name][1] not in ("$", "usd"):
            raise BillUnreadable(f"Costs are in {named[name][1]}; only US dollars can be compared.")
        amount = _number(row[name])
        if amount is not None:
            return _whole(amount, NANO)
    return None


# --- OpenAI -------------------------------------------------------------------------


def _openai_usage(row: Row) -> BillSum | None:
    model = row["model"].strip().lower()
    if not model:
        return None

    def count(name: str) -> int | None:
        amount = _number(row.get(name, ""))
        return None if amount is None else _whole(amount, 1)

    return BillSum(
        _start(row),
        model,
        requests=count("num_model_requests"),
        input_tokens=count("input_tokens"),
        cached_tokens=count("input_cached_tokens"),
        output_tokens=count("output_tokens"),
    )


def _openai_costs(row: Row) -> BillSum | None:
    model = row["line_item"].partition(",")[0].strip().lower()
    amount = _number(row["amount_value"])
    if not model or amount is None:
        return None
    currency = row.get("amount_currency", "usd").strip().lower()
    if currency != "usd":
        raise BillUnreadable(f"Costs are in {currency}; only US dollars can be compared.")
    return BillSum(_start(row), model, cost_nanousd=_whole(amount, NANO))


def _start(row: Row) -> date:
    text = row.get("start_time_iso", "").strip() or row.get("start_time", "").strip()
    if text.isascii() and text.isdigit():
        return datetime.fromtimestamp(int(text), UTC).date()
    return _day(text)


# --- Both ---------------------------------------------------------------------------


def _day(text: str) -> date:
    moment = datetime.fromisoformat(text.strip().replace("/", "-"))
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()


def _number(text: str) -> Decimal | None:
    cleaned = text.strip().replace(",", "").removeprefix("$")
    if not cleaned:
        return None
    amount = Decimal(cleaned)
    if not amount.is_finite() or abs(amount) > MOST:
        raise ValueError(f"{text!r} is no amount")
    return amount


def _whole(amount: Decimal, factor: int) -> int:
    return int((amount * factor).to_integral_value())


@dataclass(frozen=True, slots=True)
class _Format:
    name: str
    provider: str
    zone: str
    needs: frozenset[str]
    read: Callable[[Row], BillSum | None]


_FORMATS = (
    # Google's usage dates are those of the US west coast.
    _Format(
        "Google Cloud cost table",
        "gemini",
        "America/Los_Angeles",
        frozenset({"sku description", "usage start date"}),
        _google,
    ),
    _Format(
        "OpenAI usage", "openai", "UTC", frozenset({"model", "input_tokens", "output_tokens"}), _openai_usage
    ),
    _Format("OpenAI costs", "openai", "UTC", frozenset({"line_item", "amount_value"}), _openai_costs),
)


_DATED = re.compile(r"-(?:\d{3,8}|\d{4}-\d\d-\d\d|latest|preview.*)")


def match_model(name: str, provider: str, known: Sequence[str]) -> str | None:
    """The model id that a provider's name means: the longest known one that it is, or is a dated form of."""
    fitting = []
    for model in known:
        whose, _, bare = model.lower().partition(":")
        rest = name.removeprefix(bare)
        if whose == provider and bare and name.startswith(bare) and (not rest or _DATED.fullmatch(rest)):
            fitting.append(model)
    return max(fitting, key=len, default=None)
