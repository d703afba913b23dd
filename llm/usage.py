"""Token usage, normalised once for every provider family.

Counts are inclusive: ``cached_tokens``, ``cache_write_tokens`` and
``tool_prompt_tokens`` are parts of ``input_tokens``; ``thinking_tokens`` is part of
``output_tokens``. None means that the provider did not say.

The families count differently:

- Gemini: the prompt count holds the cached tokens; thoughts stand beside the
  candidates and tool prompts beside the prompt.
- OpenAI: cached and reasoning tokens are parts of prompt and completion. Some
  compatible servers put reasoning beside the completion; their total gives it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    tool_prompt_tokens: int | None = None
    output_tokens: int | None = None
    thinking_tokens: int | None = None
    raw: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def total_tokens(self) -> int | None:
        """Input and output; None unless both are known."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens

    @property
    def complete(self) -> bool:
        return self.total_tokens is not None

    def merge(self, newer: Usage) -> Usage:
        """Per field the newer count, unless the newer report does not hold it."""
        return replace(
            self,
            input_tokens=_newer(self.input_tokens, newer.input_tokens),
            cached_tokens=_newer(self.cached_tokens, newer.cached_tokens),
            cache_write_tokens=_newer(self.cache_write_tokens, newer.cache_write_tokens),
            tool_prompt_tokens=_newer(self.tool_prompt_tokens, newer.tool_prompt_tokens),
            output_tokens=_newer(self.output_tokens, newer.output_tokens),
            thinking_tokens=_newer(self.thinking_tokens, newer.thinking_tokens),
            raw=merge_raw(self.raw, newer.raw),
        )

    def consistent(self) -> bool:
        """Whether the parts fit into their wholes and the sum is the provider's own total."""
        parts = (self.cached_tokens or 0) + (self.cache_write_tokens or 0) + (self.tool_prompt_tokens or 0)
        if self.input_tokens is None or self.output_tokens is None:
            return False
        counts = (
            self.input_tokens,
            self.cached_tokens or 0,
            self.cache_write_tokens or 0,
            self.tool_prompt_tokens or 0,
            self.output_tokens,
            self.thinking_tokens or 0,
        )
        if min(counts) < 0 or parts > self.input_tokens or (self.thinking_tokens or 0) > self.output_tokens:
            return False
        stated = _count(self.raw, "totalTokenCount")
        if stated is None:
            stated = _count(self.raw, "total_tokens")
        return stated is None or stated == self.input_tokens + self.output_tokens


def merge_raw(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, Any]:
    """Per key the last value that is not null; nested objects likewise."""
    merged = dict(older)
    for key, value in newer.items():
        if value is None:
            merged.setdefault(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge_raw(merged[key], value)
        else:
            merged[key] = value
    return merged


def from_gemini(raw: Mapping[str, Any]) -> Usage:
    """``usageMetadata`` of the wire (camelCase), merged over the chunks of a stream."""
    prompt = _count(raw, "promptTokenCount")
    tool_prompt = _count(raw, "toolUsePromptTokenCount")
    candidates = _count(raw, "candidatesTokenCount")
    thoughts = _count(raw, "thoughtsTokenCount")
    total = _count(raw, "totalTokenCount")
    if candidates is None and thoughts is None and prompt is not None and total is not None:
        # A stream that produced nothing leaves the output counts out.
        candidates = max(0, total - prompt - (tool_prompt or 0))
    return Usage(
        input_tokens=_sum(prompt, tool_prompt),
        cached_tokens=_count(raw, "cachedContentTokenCount"),
        tool_prompt_tokens=tool_prompt,
        output_tokens=_sum(candidates, thoughts),
        thinking_tokens=thoughts,
        raw=dict(raw),
    )


def from_openai(raw: Mapping[str, Any]) -> Usage:
    """``usage`` of chat completions and of servers that speak like it."""
    prompt = _count(raw, "prompt_tokens")
    completion = _count(raw, "completion_tokens")
    total = _count(raw, "total_tokens")
    prompt_details = _details(raw, "prompt_tokens_details")
    completion_details = _details(raw, "completion_tokens_details")
    cached = _count(prompt_details, "cached_tokens")
    if cached is None:
        cached = _count(raw, "prompt_cache_hit_tokens")
    reasoning = _count(completion_details, "reasoning_tokens")
    if completion is None and prompt is not None and total is not None:
        completion = max(0, total - prompt)
    output = completion
    if reasoning and prompt is not None and completion is not None:
        beside = total == prompt + completion + reasoning
        if beside or reasoning > completion:
            output = completion + reasoning
    return Usage(
        input_tokens=prompt,
        cached_tokens=cached,
        cache_write_tokens=_count(prompt_details, "cache_write_tokens"),
        output_tokens=output,
        thinking_tokens=reasoning,
        raw=dict(raw),
    )


def _newer(older: int | None, newer: int | None) -> int | None:
    return older if newer is None else newer


def _count(raw: Mapping[str, Any], key: str) -> int | None:
    value = raw.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value)


def _details(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _sum(first: int | None, second: int | None) -> int | None:
    if first is None and second is None:
        return None
    return (first or 0) + (second or 0)
