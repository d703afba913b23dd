from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llm.errors import ProviderError, RateLimited, Truncated
from llm.providers.openai_chunks import CompletionReader
from llm.providers.sse import EventStreamParser
from llm.stream import Finish, StreamEvent, TextDelta, ThoughtDelta, ToolCall, UsageReport

RECORDINGS = [
    # file, text, thoughts and calls begin with, reason, (input, cached, output, thinking)
    ("openai/chat_openai-text", "**Holiday Name", "", [], "stop", (16, 0, 300, 0)),
    ("openai/chat_azure-model-router.1", "", "", [], "stop", None),
    ("deepseek/chat_deepseek-text", "", "", [], "length", (13, 0, 400, None)),
    ("deepseek/chat_deepseek-reasoning", "", "", [], "stop", (18, 0, 219, 205)),
    ("deepseek/chat_deepseek-tool-call", "", "", ["weather"], "tool_calls", (339, 320, 83, 39)),
    ("openai-compatible/chat_xai-text", "", "First,", [], "stop", (12, 11, 342, 340)),
    ("openai-compatible/chat_xai-tool-call", "", "First,", ["weather"], "tool_calls", (307, 306, 253, 227)),
    ("groq/groq-tool-call", "", "", ["weather"], "tool_calls", None),
    ("mistral/mistral-reasoning", "", "", [], "stop", None),
    ("mistral/mistral-text", "", "", [], "stop", None),
]


def payloads_of(pieces: list[bytes]) -> list[bytes]:
    parser = EventStreamParser()
    return [payload for piece in pieces for payload in parser.feed(piece)] + parser.close()


def read_stream(pieces: list[bytes]) -> list[StreamEvent]:
    reader = CompletionReader()
    events = [
        event for payload in payloads_of(pieces) if payload != b"[DONE]" for event in reader.read(payload)
    ]
    return events + list(reader.finish())


def joined(events: list[StreamEvent]) -> tuple[str, str, list[ToolCall], list[StreamEvent]]:
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    thoughts = "".join(event.text for event in events if isinstance(event, ThoughtDelta))
    calls = [event for event in events if isinstance(event, ToolCall)]
    return text, thoughts, calls, [event for event in events if isinstance(event, UsageReport | Finish)]


@pytest.mark.parametrize("recording", RECORDINGS, ids=[row[0] for row in RECORDINGS])
def test_it_reads_recordings_wherever_they_are_split(recording: tuple[Any, ...], corpora: Path) -> None:
    name, text_start, thoughts_start, calls, reason, counts = recording
    path = corpora / "wire" / "vercel_ai" / f"{name}.chunks.txt"
    if not path.exists():
        pytest.skip(f"{path.name} is not here")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    stream = "".join(f"data: {line}\r\n\r\n" for line in [*lines, "[DONE]"]).encode()
    text, thoughts, tool_calls, rest = joined(read_stream([stream]))
    assert text.startswith(text_start)
    assert thoughts.startswith(thoughts_start)
    assert text or thoughts or tool_calls
    assert [call.name for call in tool_calls] == calls
    assert all(isinstance(json.loads(call.arguments), dict) and call.id for call in tool_calls)
    assert rest[-1] == Finish(reason)
    if counts is not None:
        assert isinstance(rest[0], UsageReport)
        usage = rest[0].usage
        assert usage.consistent()
        assert counts == (
            usage.input_tokens,
            usage.cached_tokens,
            usage.output_tokens,
            usage.thinking_tokens,
        )
    whole = joined(read_stream([stream]))
    assert joined(read_stream([stream[i : i + 1] for i in range(len(stream))])) == whole
    start = stream[:6000]
    for cut in range(len(start)):
        assert payloads_of([start[:cut], start[cut:]]) == payloads_of([start])


def read(*chunks: Any) -> list[StreamEvent]:
    reader = CompletionReader()
    events = [event for chunk in chunks for event in reader.read(json.dumps(chunk).encode())]
    return events + list(reader.finish())


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def test_it_collects_parallel_tool_calls() -> None:
    events = read(
        chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "one", "arguments": ""}}]}),
        chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "two", "arguments": '{"x"'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": None}}]}),
        chunk({"tool_calls": [{"index": 1, "function": {"arguments": ": 1}"}}]}, "tool_calls"),
    )
    assert events == [
        ToolCall("a", "one", "{}"),
        ToolCall("b", "two", '{"x": 1}'),
        Finish("tool_calls"),
    ]


def test_it_reads_content_that_comes_in_parts() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "thinking", "thinking": "So."},
        {"type": "thinking", "thinking": []},
        {"type": "text", "text": "Yes."},
        "odd",
    ]
    assert read(chunk({"content": parts}, "stop")) == [
        ThoughtDelta("Hm."),
        ThoughtDelta("So."),
        TextDelta("Yes."),
        Finish("stop"),
    ]


@pytest.mark.parametrize(
    ("delta", "event"),
    [
        ({"content": "a", "reasoning": None}, TextDelta("a")),
        ({"content": None, "reasoning": "b"}, ThoughtDelta("b")),
        ({"refusal": "No."}, TextDelta("No.")),
    ],
)
def test_it_reads_each_kind_of_delta(delta: dict[str, Any], event: StreamEvent) -> None:
    assert read(chunk(delta, "stop"))[0] == event


def test_it_puts_thoughts_before_the_text_of_the_same_chunk() -> None:
    events = read(chunk({"role": "assistant", "content": "a", "reasoning_content": "b"}, "stop"))
    assert events[:2] == [ThoughtDelta("b"), TextDelta("a")]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("eos", "stop"), ("content_filter", "safety"), ("function_call", "tool_calls"), ("brand_new", "other")],
)
def test_it_names_reasons(reason: str, expected: str) -> None:
    assert read(chunk({}, reason))[-1] == Finish(expected)  # type: ignore[arg-type]  # from a table


def test_it_reports_usage_before_it_complains() -> None:
    reader = CompletionReader()
    reader.read(b'{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}')
    ending = reader.finish()
    assert isinstance(next(ending), UsageReport)
    with pytest.raises(Truncated):
        next(ending)


def test_it_raises_errors_of_every_form() -> None:
    with pytest.raises(RateLimited):
        read({"error": {"message": "slow", "code": "rate_limit_exceeded"}, "usage": {"prompt_tokens": 1}})
    with pytest.raises(ProviderError):
        read({"error": "broken"})
    with pytest.raises(ProviderError):
        read(chunk({}, "error"))


@pytest.mark.parametrize("payload", [b"{", b"[]", b'{"choices": [1]}', b'{"choices": [{"delta": 3}]}'])
def test_it_raises_only_its_own_errors(payload: bytes) -> None:
    with pytest.raises(ProviderError):
        CompletionReader().read(payload)


def test_it_passes_over_chunks_without_content() -> None:
    assert read({"choices": None}, {}, chunk({}), chunk({"content": ""}), chunk({}, "stop")) == [
        Finish("stop")
    ]
