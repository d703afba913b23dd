"""The breakdown of an input, and what a cut answer still lacks."""

from __future__ import annotations

from dataclasses import astuple

from hypothesis import given
from hypothesis import strategies as st

from conversations.parts import Parts, expected_rest

counts = st.integers(0, 5000)


@given(own=st.tuples(*[counts] * 6), total=st.integers(0, 20_000))
def test_it_shares_a_reported_figure_exactly(own: tuple[int, ...], total: int) -> None:
    shares = astuple(Parts(*own).scaled(total))
    assert sum(shares) == total
    whole = sum(own)
    for part, share in zip(own, shares, strict=True):
        if whole:
            assert abs(share - part * total / whole) < 1


def test_it_leaves_true_counts_as_they_are() -> None:
    parts = Parts(1, 2, 3, 4, 5, 6)
    assert parts.scaled(21) == parts


def test_it_expects_the_length_of_answers_that_were_longer() -> None:
    assert expected_rest(100, [50, 300, 90, 400, 1000], most_tokens=4096) == 300


def test_it_expects_as_much_again_where_nothing_is_known() -> None:
    assert expected_rest(100, [50, 300], most_tokens=4096) == 100
    assert expected_rest(100, [], most_tokens=60) == 60
