from __future__ import annotations

import asyncio
import re

import pytest

from llm.demo_names import parse_demo_name
from llm.demo_script import friendly_answer, friendly_tokens, numbered_tokens, thought_tokens
from llm.errors import ConnectionFailed, Truncated, UnknownModel
from llm.stream import ThoughtDelta
from llm.tokens import count_tokens, estimate_input_tokens
from tests.llm.making import make_provider, make_request, run


@pytest.mark.parametrize(
    "name",
    [
        "friendly",
        "500-200-20",
        "0-0-0",
        "1-2-3!429",
        "1-2-3!429x2@3",
        "1-2-3!429@3x2",
        "1-2-3!429x2@2.5",
        "1-2-3!stall@50!think!cached@80",
        "friendly!500x1!nousage",
    ],
)
def test_it_knows_its_names(name: str) -> None:
    assert parse_demo_name(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "unfriendly",
        "friendly-1-2",
        "1-2",
        "1-2-3-4",
        "1-2-3!",
        "1-2-3!418",
        "1-2-3!999",
        "1-2-3!nonsense",
        "1-2-3!429x2@3x2",
        "1-2-3!429@",
        "1-2-3 ",
        "-1-2-3",
        "1-2-9999999",
        "1-2-3\n",
        "1-2-3!429@٣",
        "x" * 10_000,
    ],
)
def test_it_refuses_other_names(name: str) -> None:
    assert parse_demo_name(name) is None


def test_it_reads_times_and_numbers() -> None:
    name = parse_demo_name("500-200-20!429x2@3!cut@7")
    assert name is not None
    assert (name.first_ms, name.tokens, name.interval_ms) == (500, 200, 20)
    assert [fault.word for fault in name.faults] == ["429", "cut"]
    assert name.status(2) is not None
    assert name.status(3) is None
    assert name.fault("cut", 99) is not None


@pytest.mark.parametrize("encoding", ["o200k_base", "cl100k_base"])
@pytest.mark.parametrize("count", [1, 2, 17, 52, 53, 54, 55, 106, 500])
def test_it_makes_tokens_that_are_counted_as_it_reports_them(encoding: str, count: int) -> None:
    assert count_tokens("".join(numbered_tokens(count)), encoding) == count
    assert count_tokens("".join(thought_tokens(count)), encoding) == count


async def test_it_is_a_function_of_the_request() -> None:
    provider = make_provider("demo")
    request = make_request("0-80-0!think!cached")
    assert (await run(provider, request)).events == (await run(provider, request)).events


async def test_it_reports_the_input_as_it_is_estimated() -> None:
    request = make_request("0-3-0", "How many tokens are this?", system="Be kind.")
    outcome = await run(make_provider("demo"), request)
    assert outcome.usage is not None
    assert outcome.usage.input_tokens == estimate_input_tokens(request)


async def test_it_counts_off_the_loop_until_the_tables_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm.providers.demo.is_loaded", lambda encoding: False)
    outcome = await run(make_provider("demo"), make_request("0-3-0"))
    assert outcome.usage is not None
    assert outcome.usage.input_tokens


async def test_it_counts_thoughts_as_output() -> None:
    outcome = await run(make_provider("demo"), make_request("0-20-0!think"))
    assert [type(event) is ThoughtDelta for event in outcome.events[:20]] == [True] * 5 + [False] * 15
    assert outcome.usage is not None
    assert (outcome.usage.output_tokens, outcome.usage.thinking_tokens) == (20, 5)


@pytest.mark.parametrize(
    ("suffix", "percent"), [("", 0), ("!cached", 50), ("!cached@80", 80), ("!cached@999", 100)]
)
async def test_it_caches_what_it_is_told(suffix: str, percent: int) -> None:
    outcome = await run(make_provider("demo"), make_request(f"0-1-0{suffix}", "one two three four five"))
    usage = outcome.usage
    assert usage is not None
    assert usage.input_tokens is not None
    assert usage.cached_tokens == usage.input_tokens * percent // 100


@pytest.mark.parametrize("fault", ["die", "stall", "end"])
async def test_it_fails_after_the_last_token_too(fault: str) -> None:
    provider, texts = make_provider("demo"), []
    stream = provider.stream(make_request(f"0-4-0!{fault}@9"))
    texts = [await anext(stream) for _ in range(4)]
    assert len(texts) == 4
    if fault == "die":
        with pytest.raises(ConnectionFailed):
            await anext(stream)
    elif fault == "end":
        await anext(stream)
        with pytest.raises(Truncated):
            await anext(stream)
    else:
        task = asyncio.ensure_future(anext(stream))
        done, _ = await asyncio.wait({task}, timeout=0.05)
        assert not done
        task.cancel()


async def test_it_dies_once_and_then_answers() -> None:
    provider = make_provider("demo")
    first = await run(provider, make_request("0-9-0!die@3x1"))
    second = await run(provider, make_request("0-9-0!die@3x1", attempt=2))
    assert isinstance(first.error, ConnectionFailed)
    assert second.reasons == ["stop"]


async def test_it_refuses_a_name_it_cannot_read() -> None:
    outcome = await run(make_provider("demo"), make_request("nonsense"))
    assert isinstance(outcome.error, UnknownModel)


async def test_it_keeps_its_times_however_late_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    clock = [100.0]

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))
        clock[0] += seconds + 0.004  # every sleep takes 4 ms too long

    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock[0], raising=False)
    monkeypatch.setattr("llm.providers.demo.asyncio.sleep", sleep)
    stream = make_provider("demo").stream(make_request("50-4-20"))
    for _ in range(4):
        await anext(stream)
    assert slept == [0.05, 0.016, 0.016, 0.016]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Hello!", r"\*\*demo model\*\*"),
        ("Write a Python function, please", r"```python\n"),
        ("Compare lists and sets in a table", r"\| --- \|"),
        ("Explain how a hash table works, with a small example in Python", r"```python\n"),
        ("thanks", r"welcome"),
        ("Why is the sky blue?", r"> Why is the sky blue\?"),
        ("", r"> …"),
        ("word " * 100, r"> (word )+.*…"),
    ],
)
def test_it_reacts_to_the_question(question: str, expected: str) -> None:
    answer = friendly_answer(question)
    assert re.search(expected, answer)
    assert "".join(friendly_tokens(question)) == answer


async def test_it_says_its_script_under_the_cap() -> None:
    whole = await run(make_provider("demo"), make_request("friendly", "hi"))
    cut = await run(make_provider("demo"), make_request("friendly", "hi", max_output_tokens=5))
    assert whole.text == friendly_answer("hi")
    assert whole.text.startswith(cut.text)
    assert cut.usage is not None
    assert (cut.usage.output_tokens, cut.reasons) == (5, ["length"])


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Plan a week of simple dinners for two", "Plan a week of simple dinners"),
        ("how does the tide come in?", "How does the tide come in"),
        ("what is the time of the day", "What is the time"),
        ("Hello!", "Hello"),
        ("?", "Conversation"),
    ],
)
def test_its_titles_are_the_first_words_and_end_as_titles_do(question: str, title: str) -> None:
    assert friendly_answer(f"Write a title\n\nUser: {question}\n") == title
