"""Tables of the dashboard: one description for the page and for its CSV. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from billing.receipts import usd
from conversations.templatetags.figures import duration, figure, money

Kind = Literal["text", "count", "nanousd", "ms", "percent", "time"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as the page shows it."""

    text: str
    href: str = ""
    is_number: bool = False
    is_time: bool = False
    name: str = ""  # of its column, for pages too narrow for a head


@dataclass(frozen=True, slots=True)
class Table:
    """``columns``: (name, kind). ``rows``: values by column; None is unknown. ``links``: of first cells.

    Percent are whole numbers or tenths as Decimal; nano-USD are integers. ``empty``: what is said of no rows.
    """

    key: str
    title: str
    columns: Sequence[tuple[str, Kind]]
    rows: Sequence[Sequence[object]]
    links: Sequence[str] = ()
    note: str = ""
    empty: str = "Nothing in these days."

    def head(self) -> list[tuple[str, bool]]:
        return [(name, kind != "text" and kind != "time") for name, kind in self.columns]

    def cells(self) -> list[list[Cell]]:
        return [
            [
                Cell(
                    _shown(value, kind),
                    self.links[number] if not position and self.links else "",
                    kind not in ("text", "time"),
                    kind == "time",
                    name,
                )
                for position, (value, (name, kind)) in enumerate(zip(row, self.columns, strict=True))
            ]
            for number, row in enumerate(self.rows)
        ]

    def csv_rows(self) -> list[list[object]]:
        """With a header; money in USD, times in ISO 8601."""
        head: list[object] = [_csv_name(name, kind) for name, kind in self.columns]
        kinds = [kind for _, kind in self.columns]
        return [head, *([_plain(*pair) for pair in zip(row, kinds, strict=True)] for row in self.rows)]


def share_percent(part: int, whole: int, *, places: int = 1) -> Decimal | None:
    """None of nothing."""
    return round(Decimal(part * 100) / whole, places) if whole else None


def _csv_name(name: str, kind: Kind) -> str:
    word = name.lower().replace(" ", "_").replace("-", "_")
    suffix = {"nanousd": "_usd", "ms": "_ms", "percent": "_percent"}.get(kind, "")
    return word if word.endswith(suffix) else word + suffix


def _shown(value: object, kind: Kind) -> str:
    if value is None:
        return "–"
    match kind:
        case "count":
            return figure(_int(value))
        case "nanousd":
            return money(usd(_int(value)))
        case "ms":
            return duration(_int(value))
        case "percent":
            return f"{value} %"
        case "time" if isinstance(value, datetime):
            return f"{value:%Y-%m-%d %H:%M}"
    return str(value)


def _plain(value: object, kind: Kind) -> object:
    if value is None:
        return None
    if kind == "nanousd":
        return Decimal(usd(_int(value)) or "0")
    if kind == "time" and isinstance(value, datetime):
        return value.isoformat()
    return value


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
