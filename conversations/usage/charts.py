"""Small charts, as geometry that a template draws as SVG. Pure.

A plot is 100 high and as wide as it has room for; the browser stretches it to its place, so strokes do
not scale and all text stands outside the plot, at percentages. Next to every chart stands the table that
it draws: the chart itself is hidden from screen readers, which get one sentence and the table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

HEIGHT = 100
STEP = 10  # width of one bar with its gap
BAR = 7
LABELS_AT_MOST = 7
TREND_PERIODS = 7


@dataclass(frozen=True, slots=True)
class Part:
    """One rectangle of a stacked bar. ``series`` names its look."""

    series: str
    x: str
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A column with all its parts; ``x`` is its left edge, ``title`` what a pointer is told."""

    x: str
    title: str
    href: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Line:
    series: str
    label: str
    points: str  # as SVG takes them; "" where there is nothing to draw


@dataclass(frozen=True, slots=True)
class Label:
    """``at``: a percentage along the axis. ``anchor``: which end of the text stands there."""

    at: str
    text: str
    anchor: str = "middle"


@dataclass(frozen=True, slots=True)
class Chart:
    width: int
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]
    y_labels: tuple[Label, ...]
    x_labels: tuple[Label, ...]
    grid: tuple[str, ...]  # y of each horizontal line

    @property
    def is_empty(self) -> bool:
        if self.bars:
            return not any(bar.parts for bar in self.bars)
        return not any(line.points for line in self.lines)


@dataclass(frozen=True, slots=True)
class Column:
    """What a bar shows. ``amounts`` are stacked from below, in the order of the chart's series."""

    label: str
    amounts: Sequence[int]
    title: str = ""
    href: str = ""


def bar_chart(
    columns: Sequence[Column],
    *,
    series: Sequence[str],
    amount_text: Callable[[int], str],
    trend: Sequence[int | None] = (),
) -> Chart:
    """Stacked bars, and a line over them where ``trend`` gives one (None = no value there)."""
    # A correction may make a day negative; a bar begins at nothing all the same.
    heights = [[max(amount, 0) for amount in column.amounts] for column in columns]
    top, ticks = scale(max([*(sum(parts) for parts in heights), *(one or 0 for one in trend)], default=0))
    bars = [
        Bar(_text(number * STEP), column.title, column.href, tuple(_parts(number, parts, series, top)))
        for number, (column, parts) in enumerate(zip(columns, heights, strict=True))
    ]
    width = max(len(columns), 1) * STEP
    lines = (Line("trend", "trend", _points(trend, top)),) if any(one is not None for one in trend) else ()
    return Chart(
        width,
        tuple(bars),
        lines,
        _y_labels(ticks, top, amount_text),
        _x_labels([column.label for column in columns]),
        tuple(_y(tick, top) for tick in ticks),
    )


def moving_average(amounts: Sequence[int], periods: int = TREND_PERIODS) -> list[int | None]:
    """The mean of each period and those before it, up to ``periods`` of them, rounded down.

    None until half of them are there: a mean of one day says nothing of a trend.
    """
    found: list[int | None] = []
    running = 0
    for number, amount in enumerate(amounts):
        running += amount - (amounts[number - periods] if number >= periods else 0)
        count = min(number + 1, periods)
        found.append(running // count if count * 2 >= periods else None)
    return found


def scale(highest: int) -> tuple[int, list[int]]:
    """The top of an axis that shows ``highest``, and its ticks from 0 to the top: 1, 2 or 5 times a power
    of ten apart, three to six of them.
    """
    if highest <= 0:
        return 1, [0, 1]
    power = 10 ** (len(str(highest)) - 1)
    # ``highest`` is below ten powers, so twice the power always reaches it in five steps.
    steps = (power // 5, power // 2, power, power * 2)
    step = next(step for step in steps if step > 0 and highest <= step * 5)
    count = max(ceil(Fraction(highest, step)), 1)
    return step * count, [step * number for number in range(count + 1)]


@dataclass(frozen=True, slots=True)
class Share:
    """A row of a distribution: ``percent`` of the whole, ``width`` of its bar beside the greatest."""

    label: str
    amount: int
    percent: int
    width: int
    href: str = ""
    detail: str = ""


def shares(rows: Sequence[tuple[str, int, str, str]], *, whole: int | None = None) -> list[Share]:
    """(label, amount, href, detail) as a distribution of ``whole``, by default of what is listed.

    Percent is rounded down; little stays visible.
    """
    whole = sum(max(amount, 0) for _, amount, _, _ in rows) if whole is None else whole
    greatest = max((amount for _, amount, _, _ in rows), default=0)
    return [
        Share(
            label,
            amount,
            percent=max(amount, 0) * 100 // whole if whole > 0 else 0,
            width=max(max(amount, 0) * 100 // greatest, 1 if amount > 0 else 0) if greatest > 0 else 0,
            href=href,
            detail=detail,
        )
        for label, amount, href, detail in rows
    ]


def _parts(number: int, amounts: Sequence[int], series: Sequence[str], top: int) -> list[Part]:
    parts, below = [], 0.0
    left = _text(number * STEP + (STEP - BAR) / 2)
    for name, amount in zip(series, amounts, strict=True):
        if amount:
            # What is there must be seen, however little it is.
            height = max(float(Fraction(amount * HEIGHT, top)), 0.6)
            parts.append(Part(name, left, _text(max(HEIGHT - below - height, 0)), _text(height)))
            below += height
    return parts


def _points(values: Sequence[int | None], top: int) -> str:
    return " ".join(
        f"{_text(number * STEP + STEP / 2)},{_y(value, top)}"
        for number, value in enumerate(values)
        if value is not None
    )


def _y(amount: int, top: int) -> str:
    return _text(HEIGHT - float(Fraction(max(amount, 0) * HEIGHT, top)))


def _y_labels(ticks: Sequence[int], top: int, amount_text: Callable[[int], str]) -> tuple[Label, ...]:
    return tuple(Label(f"{_y(tick, top)}%", amount_text(tick)) for tick in ticks)


def _x_labels(labels: Sequence[str]) -> tuple[Label, ...]:
    """At most ``LABELS_AT_MOST`` of them, at even steps from the last one back."""
    if not labels:
        return ()
    every = ceil(len(labels) / LABELS_AT_MOST)
    found = []
    for number in range(len(labels) - 1, -1, -every):
        at = Fraction(200 * number + 100, 2 * len(labels))
        anchor = "start" if at < 4 and len(labels) > 1 else "end" if at > 96 and len(labels) > 1 else "middle"
        found.append(Label(f"{_text(float(at))}%", labels[number], anchor))
    return tuple(reversed(found))


def _text(value: float) -> str:
    """Short, and without an exponent."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
