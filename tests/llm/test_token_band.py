"""Our counts beside what providers have recorded: within the band, and never too small a hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm.estimate import InputEstimate
from llm.messages import ChatRequest, Message
from llm.models import ModelProfile, Provider
from llm.profiles import get_profile
from llm.tokens import MESSAGE_OVERHEAD_TOKENS, REPLY_PRIMING_TOKENS, estimate_input_tokens

# Below this the few tokens around the messages weigh more than the text.
LONG_PROMPT_TOKENS = 100
# It answers from the web: what it finds there is part of the prompt that it counts, and nobody can know
# beforehand how much that is. 14,100 tokens were counted for a question of 16.
SEARCHES = {("api.groq.com", "compound-beta")}
# Models that ship with the site stand for their vendors; any other server is one of which nothing is known.
SHIPPED = {"gemini": "gemini:gemini-2.5-flash", "api.openai.com": "openai:gpt-4o"}


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


def test_the_vendors_own_servers_add_at_most_what_is_put_around_messages(
    recorded: list[tuple[dict[str, Any], ChatRequest]],
) -> None:
    checked = 0
    for call, request in recorded:
        if call["prompt_tokens"] < LONG_PROMPT_TOKENS and _server(call)[0] in SHIPPED:
            messages = len(request.messages) + bool(request.system)
            around = REPLY_PRIMING_TOKENS + MESSAGE_OVERHEAD_TOKENS * messages
            assert 0 <= estimate_input_tokens(request) - call["prompt_tokens"] <= around, call["source"]
            checked += 1
    assert checked >= 25


@pytest.mark.django_db
def test_no_hold_is_too_small(recorded: list[tuple[dict[str, Any], ChatRequest]]) -> None:
    checked = set()
    for call, request in recorded:
        if _server(call) not in SEARCHES:
            held = _start_estimate(_server(call)[0]).upper(estimate_input_tokens(request))
            assert call["prompt_tokens"] <= held, call["source"]
            checked.add(call["source"])
    assert len(checked) >= 40


@pytest.mark.django_db
def test_the_overhead_of_unknown_servers_is_needed(
    recorded: list[tuple[dict[str, Any], ChatRequest]],
) -> None:
    """Without it these would be held too low: servers that put a prompt of their own before ours."""
    low = set()
    for call, request in recorded:
        estimate = replace(_start_estimate(_server(call)[0]), overhead_tokens=0)
        if call["prompt_tokens"] > estimate.upper(estimate_input_tokens(request)):
            low.add(_server(call))
    assert low - SEARCHES == {
        ("api.cerebras.ai", "llama3.3-70b"),
        ("api.groq.com", "llama-3.3-70b-versatile"),
        ("openrouter.ai", "anthropic/claude-3.7-sonnet:thinking"),
        ("openrouter.ai", "anthropic/claude-sonnet-4.5"),
        ("openrouter.ai", "google/gemini-2.5-flash-lite"),
    }


def _start_estimate(server: str) -> InputEstimate:
    """What a model of this server is held with before its answers have told anything."""
    if server not in SHIPPED:
        provider, _ = Provider.objects.get_or_create(
            name="other", defaults={"kind": "openai_compatible", "base_url": "https://models.example/v1"}
        )
        ModelProfile.objects.get_or_create(
            model_id="other:model",
            defaults={"provider": provider, "context_window_tokens": 100_000, "max_output_tokens": 4096},
        )
    return get_profile(SHIPPED.get(server, "other:model")).estimate
