"""Billing files as rows, as exports and spreadsheets write them: encoding, separator, numbers, days. Pure.

Columns are found by their names, in any order. What stands before the header (Google puts the account and the
currency there) is kept as the preamble.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice, zip_longest

LINES_AT_MOST = 200_000
PREAMBLE_LINES = 40
MOST = Decimal(10**15)
# What exports use, and what spreadsheets make of them where the comma is a decimal one.
SEPARATORS = (",", ";", "\t")

_DECIMAL_COMMA = re.compile(r"-?[\d.]*,\d+")
_DECIMAL_POINT = re.compile(r"-?(?![1-9]\d{0,2}\.\d{3}$)[\d,]*\.\d+")  # 1.500 may be thousands
_GERMAN_DAY = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?: .*)?")
_SPACES = str.maketrans("", "", " \u00a0\u202f'$\u20ac")


class BillUnreadable(ValueError):
    """What is wrong with the file, in words for the operator."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file behind its header. ``names`` are in lower case, so are the labels of the ``preamble``."""

    names: tuple[str, ...]
    preamble: Mapping[str, str]
    rows: tuple[Sequence[str], ...]
    decimal_comma: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One line; a short one has empty cells at its end."""

    cells: Mapping[str, str]
    preamble: Mapping[str, str] = field(default_factory=dict)
    decimal_comma: bool = False

    def text(self, name: str) -> str:
        """The trimmed cell, "" where there is no such column."""
        return self.cells.get(name, "").strip()

    def number(self, name: str) -> Decimal | None:
        """The cell as a number, None where it is empty. Raises ValueError or InvalidOperation."""
        text = self.text(name).translate(_SPACES)
        if not text:
            return None
        thousands, point = (".", ",") if self.decimal_comma else (",", ".")
        amount = Decimal(text.replace(thousands, "").replace(point, "."))
        if not amount.is_finite() or abs(amount) > MOST:
            raise ValueError(f"{text!r} is no amount")
        return amount

    def count(self, name: str) -> int | None:
        amount = self.number(name)
        return None if amount is None else whole(amount, 1)

    def day(self, name: str) -> date:
        """The cell's day; a moment with an offset counts in UTC. Raises ValueError."""
        return read_day(self.text(name))


def decoded(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with its mark, as spreadsheets save it. Raises BillUnreadable."""
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BillUnreadable("The file is not text in UTF-8.") from error


def find_sheet(text: str, is_header: Callable[[frozenset[str]], bool]) -> Sheet | None:
    """The lines below the first header that ``is_header`` takes, under whichever separator it shows.

    Raises BillUnreadable for what is no CSV, or has too many lines.
    """
    for separator in SEPARATORS:
        lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=separator)
        preamble: dict[str, str] = {}
        try:
            for cells in islice(lines, PREAMBLE_LINES):
                names = tuple(cell.strip().lower() for cell in cells)
                if is_header(frozenset(names)):
                    rows = _all(lines)
                    comma = separator != "," and _has_decimal_commas(rows)
                    return Sheet(names, preamble, rows, comma)
                if len(names) > 1:
                    preamble[names[0].rstrip(":")] = cells[1].strip()
        except csv.Error as error:
            raise BillUnreadable(f"The file is no CSV: {error}.") from error
    return None


def _all(lines: Iterator[list[str]]) -> tuple[list[str], ...]:
    rows = tuple(islice(lines, LINES_AT_MOST + 1))
    if len(rows) > LINES_AT_MOST:
        raise BillUnreadable(f"More than {LINES_AT_MOST:,} lines: export fewer days.")
    return rows


def _has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    """How a spreadsheet wrote its numbers. Guessing wrong would put amounts off by a thousand."""
    cells = [cell.strip() for row in rows for cell in row]
    commas = any(_DECIMAL_COMMA.fullmatch(cell) for cell in cells)
    if commas and any(_DECIMAL_POINT.fullmatch(cell) for cell in cells):
        raise BillUnreadable("Numbers are written with commas and with points: import the file as exported.")
    return commas


def rows_of(sheet: Sheet) -> Iterator[Row]:
    for cells in sheet.rows:
        named = dict(zip_longest(sheet.names, cells[: len(sheet.names)], fillvalue=""))
        yield Row(named, sheet.preamble, sheet.decimal_comma)


def read_day(text: str) -> date:
    """A day as exports write it, or as a German spreadsheet does; seconds since 1970 and moments in UTC.

    A day such as 11/2/2026 means two days: ValueError, like for everything else.
    """
    if text.isascii() and text.isdigit() and len(text) > 8:
        return datetime.fromtimestamp(int(text), UTC).date()
    if found := _GERMAN_DAY.fullmatch(text):
        return date(int(found[3]), int(found[2]), int(found[1]))
    if re.match(r"\d{1,2}/", text):
        raise ValueError(f"{text!r} may be two days; a day is written as 2026-11-02")
    moment = datetime.fromisoformat(text.removesuffix(" UTC").replace("/", "-"))
    return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date()


def whole(amount: Decimal, factor: int) -> int:
    """In units of 1/``factor``, rounded to the nearest."""
    return int((amount * factor).to_integral_value())
