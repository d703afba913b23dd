"""The kind of a turn, against two hundred questions that people labelled by reading them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from conversations.kinds import has_fence, turn_kind
from conversations.models import TurnKind

LABELLED = Path(__file__).parent / "labelled" / "turn_kinds.tsv"
CODE = "Here it is:\n\n```python\nprint(1)\n```\n"
PROSE = "It depends on the weather."


def labelled() -> list[tuple[TurnKind, bool, str, str]]:
    rows = [line.split("\t") for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    return [
        (TurnKind(kind), place == "first", CODE if answer == "fenced" else PROSE, text.replace("\\n", "\n"))
        for kind, place, answer, text in rows
    ]


def test_it_agrees_with_four_in_five_labels() -> None:
    rows = labelled()
    assert len(rows) == 200
    found = [(kind, turn_kind(text, answer, is_first=first)) for kind, first, answer, text in rows]
    right = Counter(kind for kind, said in found if kind == said)
    assert right.total() / len(rows) >= 0.8, [pair for pair in found if pair[0] != pair[1]]
    for kind, of_kind in Counter(kind for kind, *_ in rows).items():
        assert of_kind == 50
        assert right[kind] / of_kind >= 0.7, kind  # no kind lives on the others' score


@pytest.mark.parametrize(
    ("text", "fenced"),
    [
        ("```\nx\n```", True),
        ("Look:\n~~~py\nx\n~~~", True),
        ("in a quote:\n> ```\n> x\n> ```", True),
        ("- item\n  ```js\n  x\n  ```", True),
        ("inline `x` only", False),
        ("a``` in a word", False),
        ("", False),
    ],
)
def test_it_knows_a_fence(text: str, fenced: bool) -> None:
    assert has_fence(text) is fenced


def test_it_calls_a_short_question_a_follow_up_only_after_another() -> None:
    assert turn_kind("Shorter please", is_first=False) == TurnKind.FOLLOW_UP
    assert turn_kind("Shorter please", is_first=True) == TurnKind.OTHER


def test_it_learns_from_the_answer_that_it_was_about_code() -> None:
    assert turn_kind("Dijkstra in C++", is_first=True) == TurnKind.OTHER
    assert turn_kind("Dijkstra in C++", CODE, is_first=True) == TurnKind.CODE


@pytest.mark.parametrize("text", ["", "   ", "\x00", "why " * 250_000, "```" * 250_000, " `" * 500_000])
def test_it_takes_any_text_however_long(text: str) -> None:
    assert turn_kind(text, text, is_first=False) in TurnKind  # a quadratic rule would take minutes
