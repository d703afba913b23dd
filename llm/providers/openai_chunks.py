"""Reading chat completions: chunks of a stream, or one whole answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from llm.errors import LLMError, ProviderError, Truncated
from llm.providers.openai_errors import error_in_stream
from llm.stream import Finish, FinishReason, StreamEvent, TextDelta, ThoughtDelta, ToolCall, UsageReport
from llm.usage import from_openai, merge_raw

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "safety",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


class CompletionReader:
    """Collects one answer: text at once, tool calls, usage and the reason at the end."""

    def __init__(self) -> None:
        self._raw_usage: dict[str, Any] = {}
        self._reason: str | None = None
        self._calls: dict[int, dict[str, str]] = {}

    def read(self, payload: bytes) -> list[StreamEvent]:
        """The events in one chunk; raises the class of an error object."""
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise ProviderError(f"unreadable chunk: {payload[:500]!r}") from error
        try:
            return self._read_chunk(chunk)
        except (AttributeError, TypeError, ValueError, LookupError) as error:
            raise ProviderError(f"unexpected chunk: {payload[:500]!r}") from error

    def _read_chunk(self, chunk: dict[str, Any]) -> list[StreamEvent]:
        choices = chunk.get("choices")
        events: list[StreamEvent] = []
        if choices:
            choice = choices[0]
            delta = choice.get("delta") or choice.get("message")
            if delta:
                content = delta.get("content")
                # The hot path: a chunk that holds a piece of text and nothing else.
                if content and type(content) is str:
                    events.append(TextDelta(content))
                    if len(delta) > 1:
                        self._read_rest(delta, events)
                else:
                    self._read_rest(delta, events)
            reason = choice.get("finish_reason")
            if reason:
                self._reason = reason
        usage = chunk.get("usage")
        if usage:
            self._raw_usage = merge_raw(self._raw_usage, usage)
        failure = chunk.get("error")
        if failure:
            raise _stream_error(failure)
        return events

    def finish(self) -> Iterator[StreamEvent]:
        """What the end of the stream brings; raises Truncated where no reason was given."""
        for index in sorted(self._calls):
            call = self._calls[index]
            yield ToolCall(id=call["id"], name=call["name"], arguments=call["arguments"] or "{}")
        if self._raw_usage:
            yield UsageReport(from_openai(self._raw_usage))
        if self._reason is None:
            raise Truncated("the stream ended without finish_reason")
        if self._reason == "error":
            raise ProviderError("finish_reason: error")
        yield Finish(_REASONS.get(self._reason, "other"))

    def _read_rest(self, delta: Mapping[str, Any], events: list[StreamEvent]) -> None:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            events.insert(0, ThoughtDelta(thought))
        content = delta.get("content")
        if isinstance(content, list):
            events.extend(_content_parts(content))
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            events.append(TextDelta(refusal))
        for position, call in enumerate(delta.get("tool_calls") or ()):
            self._collect_call(call, position)

    def _collect_call(self, call: Mapping[str, Any], position: int) -> None:
        index = call.get("index")
        known = self._calls.setdefault(
            position if index is None else int(index), {"id": "", "name": "", "arguments": ""}
        )
        function = call.get("function") or {}
        known["id"] = call.get("id") or known["id"]
        known["name"] = function.get("name") or known["name"]
        known["arguments"] += function.get("arguments") or ""


def _content_parts(parts: list[Any]) -> Iterator[StreamEvent]:
    """Content as a list of typed parts, as some servers send it."""
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            pieces = inner if isinstance(inner, list) else [{"text": inner}]
            text = "".join(str(piece.get("text") or "") for piece in pieces if isinstance(piece, Mapping))
            if text:
                yield ThoughtDelta(text)
        elif part.get("text"):
            yield TextDelta(str(part["text"]))


def _stream_error(error: Any) -> LLMError:
    return error_in_stream(error if isinstance(error, Mapping) else {"message": str(error)})
