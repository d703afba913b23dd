"""Our counts beside what providers have recorded: within the band, and never too small a hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llm.messages import ChatRequest, Message
from llm.models import ModelProfile
from llm.tokens import MESSAGE_OVERHEAD_TOKENS, REPLY_PRIMING_TOKENS, estimate_input_tokens, estimate_upper

# What a hold takes of a model about which nothing is known yet.
START_PERCENT = ModelProfile._meta.get_field("estimate_percent").default
# Below this the few tokens around the messages weigh more than the text.
LONG_PROMPT_TOKENS = 100
# Servers that put a prompt of their own before ours, or search first: what nobody can count beforehand.
ADDS_OWN_PROMPT = {
    ("api.cerebras.ai", "llama3.3-70b"),
    ("api.groq.com", "llama-3.3-70b-versatile"),
    ("openrouter.ai", "anthropic/claude-3.7-sonnet:thinking"),
    ("openrouter.ai", "anthropic/claude-sonnet-4.5"),
    ("openrouter.ai", "google/gemini-2.5-flash-lite"),
}
SEARCHES = {("api.groq.com", "compound-beta")}
OWN_PROMPT_TOKENS = 40


@pytest.fixture
def recorded(corpora: Path) -> list[tuple[dict[str, Any], ChatRequest]]:
    """Calls of plain text, without tools and schemas, with the prompt as it was sent."""
    return list(_calls((corpora / "tokens" / "recorded_usage.jsonl").read_text(encoding="utf-8")))


def _calls(text: str) -> Iterator[tuple[dict[str, Any], ChatRequest]]:
    for line in text.splitlines():
        call = json.loads(line)
        if call["has_tools"] or call["has_schema"]:
            continue
        contents, system = _prompt(call)
        if all(isinstance(content, str) for content in contents):
            messages = tuple(Message("user", str(content)) for content in contents)
            yield call, ChatRequest("m", messages, 10, system=system)


def _prompt(call: dict[str, Any]) -> tuple[list[Any], str]:
    if "messages" in call:
        return [message.get("content") for message in call["messages"]], ""
    texts: list[Any] = []
    for content in call["contents"]:
        parts = content.get("parts", [])
        plain = all(set(part) == {"text"} for part in parts)
        texts.append("".join(part["text"] for part in parts) if plain else None)
    system = call["systemInstruction"] or {"parts": []}
    return texts, "".join(part.get("text", "") for part in system["parts"])


def _server(call: dict[str, Any]) -> tuple[str, str]:
    return call.get("host") or call["provider"], call["model"]


def test_long_prompts_are_counted_within_ten_percent_and_never_low(
    recorded: list[tuple[dict[str, Any], ChatRequest]],
) -> None:
    checked = set()
    for call, request in recorded:
        if call["prompt_tokens"] >= LONG_PROMPT_TOKENS and _server(call) not in SEARCHES:
            estimate = estimate_input_tokens(request)
            assert call["prompt_tokens"] <= estimate <= call["prompt_tokens"] * 1.10, call["source"]
            checked.add(_server(call)[0])
    assert len(checked) >= 3


def test_short_prompts_differ_by_what_is_put_around_messages_only(
    recorded: list[tuple[dict[str, Any], ChatRequest]],
) -> None:
    checked = 0
    for call, request in recorded:
        if call["prompt_tokens"] < LONG_PROMPT_TOKENS and _server(call) not in ADDS_OWN_PROMPT | SEARCHES:
            messages = len(request.messages) + bool(request.system)
            around = REPLY_PRIMING_TOKENS + MESSAGE_OVERHEAD_TOKENS * messages
            over = estimate_input_tokens(request) - call["prompt_tokens"]
            assert -1 <= over <= around, call["source"]
            checked += 1
    assert checked >= 30


def test_no_hold_is_too_small(recorded: list[tuple[dict[str, Any], ChatRequest]]) -> None:
    checked = 0
    for call, request in recorded:
        if _server(call) not in SEARCHES:
            held = estimate_upper(estimate_input_tokens(request), START_PERCENT)
            own = OWN_PROMPT_TOKENS if _server(call) in ADDS_OWN_PROMPT else 0
            assert call["prompt_tokens"] <= held + own, call["source"]
            checked += 1
    assert checked >= 40
