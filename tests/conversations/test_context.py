"""The window: what is always in, what is in by choice, what is never in, and that it all fits."""

from __future__ import annotations

import functools
import uuid
from dataclasses import astuple
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.context import (
    HISTORY_SHARE_PERCENT,
    LAST_MESSAGES,
    LAST_TOKENS,
    STAND_IN,
    Context,
    ContextTooLong,
    build_context,
    message_tokens,
)
from conversations.exchanges import Exchange, History, SummaryText
from conversations.models import ContextMark, ContextPolicy
from llm.estimate import InputEstimate
from llm.profiles import Profile, ProviderConfig

ENCODING = "o200k_base"


def profile(window: int = 2000, percent: int = 100, overhead: int = 0) -> Profile:
    return Profile(
        model_id="demo:x",
        name="x",
        label="x",
        provider=ProviderConfig("demo", "demo"),
        context_window_tokens=window,
        max_output_tokens=1000,
        estimate_percent=percent,
        prompt_overhead_tokens=overhead,
    )


def build(
    history: History,
    *,
    window: int = 2000,
    percent: int = 100,
    overhead: int = 0,
    question: str = "now?",
    system: str = "",
    partial: str = "",
    most: int | None = None,
) -> Context:
    return build_context(
        history=history,
        question=question,
        system=system,
        profile=profile(window, percent, overhead),
        temperature=None,
        max_output_tokens=100,
        partial_answer=partial,
        most_input_tokens=most,
    )


def turns(*pairs: tuple[str, str]) -> tuple[Exchange, ...]:
    return tuple(Exchange(question, answer) for question, answer in pairs)


def texts(context: Context) -> list[str]:
    return [message.text for message in context.request.messages]


def statuses(context: Context) -> list[str]:
    return [message.status for message in context.messages]


def test_it_sends_the_whole_history_while_it_fits() -> None:
    found = build(History(turns(("one", "1"), ("two", "2"))))
    assert texts(found) == ["one", "1", "two", "2", "now?"]
    assert statuses(found) == ["in"] * 4


def test_it_drops_the_oldest_turns_first_and_never_half_a_turn() -> None:
    history = History(turns(*((f"question {number}", "word " * 100) for number in range(30))))
    found = build(history)
    sent = texts(found)
    assert sent[-1] == "now?"
    assert sent[-3] == "question 29"
    assert len(sent) % 2 == 1
    assert 3 <= len(sent) < 61
    assert found.dropped_turns == 30 - len(sent) // 2


def test_it_leaves_out_turns_without_an_answer_text() -> None:
    assert texts(build(History(turns(("one", ""), ("two", ""))))) == ["one", "two", "now?"]


def test_it_continues_after_the_partial_answer_and_counts_it_with_the_answers() -> None:
    found = build(History(turns(("one", "1"))), question="tell", system="be brief", partial="Once upon")
    assert texts(found) == ["one", "1", "tell", "Once upon"]
    assert found.request.messages[-1].role == "assistant"
    assert found.parts.answers == message_tokens("1", ENCODING) + message_tokens("Once upon", ENCODING)
    assert found.parts.system == message_tokens("be brief", ENCODING)


def test_it_refuses_a_question_that_leaves_no_room() -> None:
    with pytest.raises(ContextTooLong) as caught:
        build(History(), window=150, question="word " * 100)
    assert caught.value.room_tokens == 50
    assert caught.value.input_tokens > 100


def test_it_keeps_pinned_messages_before_newer_ones() -> None:
    long = "word " * 300
    old = Exchange("old?", long, answer_mark=ContextMark.PINNED)
    found = build(History((old, *turns(("new?", long), ("newest?", long)))), window=700)
    # The answer is pinned alone, so something stands where its question was.
    assert texts(found) == [STAND_IN, long, "now?"]
    assert statuses(found) == ["dropped", "pinned", "dropped", "dropped", "dropped", "dropped"]


def test_it_finds_room_for_what_was_pinned_long_ago() -> None:
    pinned = Exchange("my name is Ada", "noted", question_mark=ContextMark.PINNED)
    history = History(turns(("one", "1")), pinned_before=(pinned,), older_turns=40)
    found = build(history)
    assert texts(found) == ["my name is Ada", "one", "1", "now?"]
    assert found.dropped_turns == 39


def test_it_never_sends_what_is_excluded() -> None:
    secret = Exchange("secret question", "secret answer", ContextMark.EXCLUDED, ContextMark.EXCLUDED)
    half = Exchange("kept", "wrong answer", "", ContextMark.EXCLUDED)
    found = build(History((secret, half)))
    assert texts(found) == ["kept", "now?"]
    assert statuses(found) == ["excluded", "excluded", "in", "excluded"]


def test_it_puts_a_summary_in_the_place_of_what_it_covers() -> None:
    summary = SummaryText(uuid.uuid4(), "They met.", 0, 2)
    history = History(turns(("a", "1"), ("b", "2"), ("c", "3")), summary=summary)
    found = build(history)
    assert [text.partition("\n\n")[2] or text for text in texts(found)] == ["They met.", "c", "3", "now?"]
    assert statuses(found) == ["summarised"] * 4 + ["in"] * 2
    assert found.dropped_turns == 0
    assert found.parts.summary > 0


def test_it_sends_a_pinned_message_in_full_beside_the_summary() -> None:
    pinned = Exchange("a", "1", answer_mark=ContextMark.PINNED)
    history = History((pinned, *turns(("b", "2"))), summary=SummaryText(uuid.uuid4(), "They met.", 0, 1))
    assert statuses(build(history)) == ["summarised", "pinned", "in", "in"]


def test_it_drops_a_summary_that_does_not_fit() -> None:
    history = History(turns(("a", "1")), summary=SummaryText(uuid.uuid4(), "word " * 500, 0, 1))
    found = build(history, window=400)
    assert found.summary is None
    assert texts(found) == ["a", "1", "now?"]


def test_it_says_which_of_the_turns_not_read_are_in_no_summary() -> None:
    # Of 50 turns that were not read the summary covers 30.
    summary = SummaryText(uuid.uuid4(), "They met.", -30, 1)
    history = History(turns(("a", "1"), ("b", "2")), summary=summary, older_turns=50)
    assert build(history).dropped_turns == 20


def test_it_sends_the_last_ten_messages() -> None:
    history = History(turns(*((f"q{n}", f"a{n}") for n in range(9))), policy=ContextPolicy.LAST_10_MESSAGES)
    found = texts(build(history))
    assert len(found) == LAST_MESSAGES + 1
    assert found[0] == "q4"


def test_it_sends_the_last_two_thousand_tokens() -> None:
    history = History(
        turns(*((f"q{n}", "word " * 400) for n in range(9))), policy=ContextPolicy.LAST_2000_TOKENS
    )
    found = build(history, window=100_000)
    assert len(texts(found)) == 9  # four turns of about 410 tokens, and the question
    assert found.parts.questions + found.parts.answers <= LAST_TOKENS


def test_it_sends_no_more_than_was_held() -> None:
    history = History(turns(("one", "word " * 50), ("two", "2")))
    whole = build(history)
    grown = History((*turns(("zero", "word " * 200)), *history.exchanges))
    assert texts(build(grown, most=whole.input_tokens)) == texts(whole)
    alone = build(History()).input_tokens
    assert texts(build(grown, most=alone)) == ["now?"]


marks = st.sampled_from(list(ContextMark))
exchanges = st.lists(
    st.builds(
        lambda question, answer, mark, other: Exchange(
            "why " * (question + 1), "word " * answer, mark.value, other.value
        ),
        st.integers(0, 60),
        st.integers(0, 400),
        marks,
        marks,
    ),
    max_size=12,
)


@given(
    older=exchanges,
    policy=st.sampled_from(ContextPolicy),
    covered=st.integers(-2, 12),
    summary=st.integers(0, 200),
    window=st.integers(300, 4000),
    estimate=st.sampled_from([(100, 0), (110, 0), (150, 0), (115, 40)]),
    question=st.integers(1, 100),
    system=st.sampled_from(["", "Be brief.", "rule " * 60]),
    partial=st.sampled_from(["", "It began " * 10]),
)
def test_it_holds_whatever_the_history(
    older: list[Exchange],
    policy: ContextPolicy,
    covered: int,
    summary: int,
    window: int,
    estimate: tuple[int, int],
    question: int,
    system: str,
    partial: str,
) -> None:
    end = min(covered, len(older))
    text = SummaryText(uuid.uuid4(), "short " * summary, 0, end) if end > 0 and summary else None
    history = History(tuple(older), policy, text)
    asked = "word " * question
    percent, overhead = estimate
    build_it = functools.partial(
        build,
        window=window,
        percent=percent,
        overhead=overhead,
        question=asked,
        system=system,
        partial=partial,
    )
    try:
        found = build_it(history)
    except ContextTooLong:
        return
    request, room = found.request, window - 100
    alone = build_it(History())
    # Never over the window, also as the provider counts; the parts are the whole.
    assert InputEstimate(percent, overhead).upper(found.input_tokens) <= room
    assert sum(astuple(found.parts)) == found.input_tokens
    if found.input_tokens > alone.input_tokens:
        assert found.input_tokens <= (room - overhead) * 100 // percent * HISTORY_SHARE_PERCENT // 100
    # The system prompt and the newest question are always in, at their places.
    assert request.system == system
    tail = [one.text for one in request.messages][-2 if partial else -1 :]
    assert tail == ([asked, partial] if partial else [asked])
    # Order is kept, nothing is doubled, nothing excluded is in.
    sent = [one for one in found.messages if one.status in ("in", "pinned")]
    middle = [one.text for one in request.messages][: -len(tail)]
    expected = [one.text for one in sent]
    assert [one for one in middle if one != STAND_IN][0 if found.summary is None else 1 :] == expected
    assert all(one.mark != ContextMark.EXCLUDED for one in sent)
    # An answer is never without something before it.
    roles = [one.role for one in request.messages]
    assert roles[0] == "user"
    assert ("assistant", "assistant") not in list(pairwise(roles))
    check_pins(found, alone.input_tokens)
    check_recent(found, policy)


def check_pins(found: Context, alone: int) -> None:
    """A pinned message is out only where the pinned ones alone left no room for it."""
    taken = alone
    for one in reversed(found.messages):
        if one.mark == ContextMark.PINNED:
            tokens = message_tokens(one.text, ENCODING)
            if one.status == "dropped":
                assert taken + tokens + message_tokens(STAND_IN, ENCODING) > found.budget_tokens
            else:
                taken += tokens + message_tokens(STAND_IN, ENCODING) * (one.role == "assistant")


def check_recent(found: Context, policy: ContextPolicy) -> None:
    """Of the unmarked ones the newest are in, without a gap; a summary stands for all that it covers."""
    plain = [one for one in found.messages if not one.mark and one.status in ("in", "dropped")]
    kinds = [one.status for one in plain]
    assert kinds == sorted(kinds)  # dropped before in
    inside = [one for one in plain if one.status == "in"]
    if policy == ContextPolicy.LAST_10_MESSAGES:
        assert len(inside) <= LAST_MESSAGES
    if policy == ContextPolicy.LAST_2000_TOKENS:
        assert sum(message_tokens(one.text, ENCODING) for one in inside) <= LAST_TOKENS
