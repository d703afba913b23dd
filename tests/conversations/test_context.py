"""The window: the newest question always, older turns from the newest back, whole, while they fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.context import HISTORY_SHARE_PERCENT, ContextTooLong, Exchange, build_context
from llm.profiles import Profile, ProviderConfig


def profile(window: int = 2000) -> Profile:
    return Profile(
        model_id="demo:x",
        name="x",
        label="x",
        provider=ProviderConfig("demo", "demo"),
        context_window_tokens=window,
        max_output_tokens=1000,
    )


def turn(question: str, answer: str = "") -> Exchange:
    return Exchange(question, answer)


def texts(
    history: list[Exchange], *, window: int = 2000, question: str = "now?", system: str = ""
) -> list[str]:
    context = build_context(
        history=history,
        question=question,
        system=system,
        profile=profile(window),
        temperature=None,
        max_output_tokens=100,
    )
    return [message.text for message in context.request.messages]


def test_it_sends_the_whole_history_while_it_fits() -> None:
    history = [turn("one", "1"), turn("two", "2")]
    assert texts(history) == ["one", "1", "two", "2", "now?"]


def test_it_drops_the_oldest_turns_first_and_never_half_a_turn() -> None:
    history = [turn(f"question {number}", "word " * 100) for number in range(30)]
    found = texts(history)
    assert found[-1] == "now?"
    assert found[-3] == "question 29"
    assert len(found) % 2 == 1
    assert 3 <= len(found) < 61


def test_it_leaves_out_turns_without_an_answer_text() -> None:
    assert texts([turn("one"), turn("two")]) == ["one", "two", "now?"]


def test_it_continues_after_the_partial_answer() -> None:
    context = build_context(
        history=[],
        question="tell",
        system="be brief",
        profile=profile(),
        temperature=0.5,
        max_output_tokens=50,
        partial_answer="Once upon",
    )
    assert [(m.role, m.text) for m in context.request.messages] == [
        ("user", "tell"),
        ("assistant", "Once upon"),
    ]
    assert (context.request.system, context.request.max_output_tokens) == ("be brief", 50)


def test_it_refuses_a_question_that_leaves_no_room() -> None:
    with pytest.raises(ContextTooLong) as caught:
        texts([], window=150, question="word " * 100)
    assert caught.value.room_tokens == 50
    assert caught.value.input_tokens > 100


@given(
    sizes=st.lists(st.integers(0, 400), max_size=12),
    window=st.integers(300, 4000),
    question=st.integers(1, 100),
)
def test_it_never_exceeds_the_window(sizes: list[int], window: int, question: int) -> None:
    history = [turn("q", "word " * size) for size in sizes]
    try:
        context = build_context(
            history=history,
            question="word " * question,
            system="",
            profile=profile(window),
            temperature=None,
            max_output_tokens=100,
        )
    except ContextTooLong:
        return
    room = window - 100
    assert context.input_tokens <= room
    if len(context.request.messages) > 1:
        assert context.input_tokens <= room * HISTORY_SHARE_PERCENT // 100 + 8
