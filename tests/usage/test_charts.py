"""Charts: the geometry says what the figures say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conversations.usage.charts import (
    Column,
    bar_chart,
    moving_average,
    scale,
    shares,
)

AMOUNTS = st.lists(st.integers(-(10**6), 10**15), max_size=60)


def columns(amounts: list[int]) -> list[Column]:
    return [Column(f"day {number}", [amount]) for number, amount in enumerate(amounts)]


@given(st.integers(1, 10**18))
def test_it_scales_an_axis_with_round_ticks_that_hold_the_highest(highest: int) -> None:
    top, ticks = scale(highest)
    assert ticks[0] == 0
    assert ticks[-1] == top >= highest
    assert top <= max(highest * 2, 2)
    assert 2 <= len(ticks) <= 6
    step = ticks[1]
    assert ticks == [step * number for number in range(len(ticks))]
    assert str(step).rstrip("0") in {"1", "2", "5"}


def test_it_scales_nothing_too() -> None:
    assert scale(0) == (1, [0, 1])


@given(AMOUNTS)
def test_it_draws_bars_in_proportion(amounts: list[int]) -> None:
    chart = bar_chart(columns(amounts), series=["used"], amount_text=str)
    top = scale(max([*amounts, 0]))[0]
    assert len(chart.bars) == len(amounts)
    for amount, bar in zip(amounts, chart.bars, strict=True):
        drawn = sum(float(part.height) for part in bar.parts)
        wanted = max(amount, 0) * 100 / top
        assert drawn == 0 if amount <= 0 else abs(drawn - max(wanted, 0.6)) < 0.01
        assert all(0 <= float(part.y) <= 100 for part in bar.parts)
        assert all(0 <= float(part.x) <= chart.width for part in bar.parts)
    assert chart.is_empty == (not any(amount > 0 for amount in amounts))


def test_it_stacks_parts_without_gap_or_overlap() -> None:
    [bar] = bar_chart([Column("today", [30, 50, 20])], series=["a", "b", "c"], amount_text=str).bars
    ends = [(float(part.y), float(part.y) + float(part.height)) for part in bar.parts]
    assert ends == [(70, 100), (20, 70), (0, 20)]


def test_it_says_what_a_bar_means_and_where_it_leads() -> None:
    column = Column("3 Nov", [5], title="3 November: 5 tokens", href="?day=2026-11-03")
    [bar] = bar_chart([column], series=["used"], amount_text=str).bars
    assert (bar.title, bar.href) == ("3 November: 5 tokens", "?day=2026-11-03")


@given(st.integers(0, 400))
def test_it_labels_few_columns_and_always_the_last(count: int) -> None:
    labels = bar_chart(columns([1] * count), series=["used"], amount_text=str).x_labels
    assert len(labels) <= 7
    assert (labels[-1].text == f"day {count - 1}") if count else not labels
    at = [float(label.at.rstrip("%")) for label in labels]
    assert at == sorted(at)
    assert all(0 <= one <= 100 for one in at)


@given(st.lists(st.integers(0, 10**12), max_size=40))
def test_it_averages_what_is_there(amounts: list[int]) -> None:
    found = moving_average(amounts)
    assert len(found) == len(amounts)
    for number, mean in enumerate(found):
        window = amounts[max(0, number - 6) : number + 1]
        assert mean == (sum(window) // len(window) if len(window) >= 4 else None)


@given(st.lists(st.integers(-5, 10**12), max_size=20))
def test_it_shares_out_no_more_than_the_whole(amounts: list[int]) -> None:
    found = shares([("x", amount, "", "") for amount in amounts])
    assert sum(row.percent for row in found) <= 100
    assert all((row.width > 0) == (row.amount > 0) for row in found)
    assert all(row.width <= 100 for row in found)
