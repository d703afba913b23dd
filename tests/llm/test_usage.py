from __future__ import annotations

from typing import Any

import pytest

from llm.usage import Usage, from_gemini, from_openai, merge_raw

# name, family, what the provider said, then (input, cached, tool prompt, output, thinking, total)
GOLDEN: list[tuple[str, str, dict[str, Any], tuple[int | None, ...]]] = [
    (
        "gemini plain",
        "gemini",
        {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
        (10, None, None, 5, None, 15),
    ),
    (
        "gemini thoughts stand beside the candidates",
        "gemini",
        {
            "promptTokenCount": 9,
            "candidatesTokenCount": 23,
            "thoughtsTokenCount": 185,
            "totalTokenCount": 217,
        },
        (9, None, None, 208, 185, 217),
    ),
    (
        "cached tokens are part of the prompt (BerriAI/litellm#14849)",
        "openai",
        {
            "prompt_tokens": 262_960,
            "completion_tokens": 1_744,
            "total_tokens": 264_704,
            "prompt_tokens_details": {"text_tokens": 262_960, "cached_tokens": 257_955},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
        (262_960, 257_955, None, 1_744, 0, 264_704),
    ),
    (
        "the same call as Gemini reports it",
        "gemini",
        {
            "promptTokenCount": 262_960,
            "cachedContentTokenCount": 257_955,
            "candidatesTokenCount": 1_744,
            "totalTokenCount": 264_704,
        },
        (262_960, 257_955, None, 1_744, None, 264_704),
    ),
    (
        "cached and thinking tokens at once (danny-avila/LibreChat#12855)",
        "gemini",
        {
            "promptTokenCount": 11_125,
            "cachedContentTokenCount": 7_441,
            "candidatesTokenCount": 20,
            "thoughtsTokenCount": 409,
            "totalTokenCount": 11_554,
        },
        (11_125, 7_441, None, 429, 409, 11_554),
    ),
    (
        "gemini tool prompts stand beside the prompt",
        "gemini",
        {
            "promptTokenCount": 22,
            "toolUsePromptTokenCount": 198,
            "candidatesTokenCount": 590,
            "thoughtsTokenCount": 1_173,
            "totalTokenCount": 1_983,
        },
        (220, None, 198, 1_763, 1_173, 1_983),
    ),
    (
        "gemini thinking ate the whole answer",
        "gemini",
        {"promptTokenCount": 20, "thoughtsTokenCount": 253, "totalTokenCount": 273},
        (20, None, None, 253, 253, 273),
    ),
    (
        "gemini blocked prompt",
        "gemini",
        {"promptTokenCount": 12, "totalTokenCount": 12},
        (12, None, None, 0, None, 12),
    ),
    (
        "gemini blocked candidate",
        "gemini",
        {"promptTokenCount": 752, "candidatesTokenCount": 16, "totalTokenCount": 768},
        (752, None, None, 16, None, 768),
    ),
    ("gemini says only where it ran", "gemini", {"trafficType": "ON_DEMAND"}, (None,) * 6),
    (
        "openai plain",
        "openai",
        {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
        (19, None, None, 10, None, 29),
    ),
    (
        "openai cached and reasoning are parts",
        "openai",
        {
            "prompt_tokens": 2_006,
            "completion_tokens": 300,
            "total_tokens": 2_306,
            "prompt_tokens_details": {"cached_tokens": 1_920},
            "completion_tokens_details": {"reasoning_tokens": 192},
        },
        (2_006, 1_920, None, 300, 192, 2_306),
    ),
    (
        "deepseek",
        "openai",
        {
            "prompt_tokens": 18,
            "completion_tokens": 219,
            "total_tokens": 237,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 205},
            "prompt_cache_hit_tokens": 0,
        },
        (18, 0, None, 219, 205, 237),
    ),
    (
        "deepseek's own name for the cache",
        "openai",
        {
            "prompt_tokens": 339,
            "completion_tokens": 83,
            "total_tokens": 422,
            "prompt_cache_hit_tokens": 320,
        },
        (339, 320, None, 83, None, 422),
    ),
    (
        "xai puts reasoning beside the completion",
        "openai",
        {
            "prompt_tokens": 12,
            "completion_tokens": 2,
            "total_tokens": 354,
            "prompt_tokens_details": {"cached_tokens": 11},
            "completion_tokens_details": {"reasoning_tokens": 340},
        },
        (12, 11, None, 342, 340, 354),
    ),
    (
        "reasoning beside a longer completion is known by the total",
        "openai",
        {
            "prompt_tokens": 10,
            "completion_tokens": 50,
            "total_tokens": 90,
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        (10, None, None, 80, 30, 90),
    ),
    (
        "a local server without details",
        "openai",
        {
            "prompt_tokens": 5,
            "completion_tokens": 7,
            "total_tokens": 12,
            "prompt_tokens_details": None,
        },
        (5, None, None, 7, None, 12),
    ),
    (
        "a server that leaves the completion out",
        "openai",
        {"prompt_tokens": 5, "total_tokens": 5},
        (5, None, None, 0, None, 5),
    ),
    (
        "counts that are no numbers say nothing",
        "openai",
        {"prompt_tokens": "5", "completion_tokens": True, "total_tokens": None},
        (None,) * 6,
    ),
]
PARSERS = {"gemini": from_gemini, "openai": from_openai}


@pytest.mark.parametrize(
    ("family", "raw", "expected"), [row[1:] for row in GOLDEN], ids=[r[0] for r in GOLDEN]
)
def test_it_counts_alike_for_every_provider(
    family: str, raw: dict[str, Any], expected: tuple[int | None, ...]
) -> None:
    usage = PARSERS[family](raw)
    assert (
        usage.input_tokens,
        usage.cached_tokens,
        usage.tool_prompt_tokens,
        usage.output_tokens,
        usage.thinking_tokens,
        usage.total_tokens,
    ) == expected
    assert usage.consistent() is (expected[-1] is not None)
    assert usage.raw == raw


def test_it_keeps_the_last_count_that_is_not_null() -> None:
    early = Usage(input_tokens=15, cached_tokens=4, output_tokens=1, raw={"a": 1, "d": {"x": 1, "y": 2}})
    late = Usage(input_tokens=13, output_tokens=9, raw={"a": None, "d": {"x": 5}, "b": 2, "c": None})
    merged = early.merge(late)
    assert (merged.input_tokens, merged.cached_tokens, merged.output_tokens) == (13, 4, 9)
    assert merged.raw == {"a": 1, "d": {"x": 5, "y": 2}, "b": 2, "c": None}


def test_it_merges_fields_that_come_in_different_chunks() -> None:
    chunks: list[dict[str, Any]] = [
        {"promptTokenCount": 15, "cachedContentTokenCount": 8, "totalTokenCount": 15},
        {"promptTokenCount": 13, "thoughtsTokenCount": 30, "totalTokenCount": 43},
        {"promptTokenCount": 13, "candidatesTokenCount": 7, "totalTokenCount": 50},
    ]
    raw: dict[str, Any] = {}
    for chunk in chunks:
        raw = merge_raw(raw, chunk)
    usage = from_gemini(raw)
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.thinking_tokens) == (
        13,
        8,
        37,
        30,
    )
    assert usage.consistent()


@pytest.mark.parametrize(
    "usage",
    [
        Usage(),
        Usage(input_tokens=5),
        Usage(input_tokens=5, output_tokens=-1),
        Usage(input_tokens=5, cached_tokens=6, output_tokens=1),
        Usage(input_tokens=5, cached_tokens=3, tool_prompt_tokens=3, output_tokens=1),
        Usage(input_tokens=5, output_tokens=3, thinking_tokens=4),
        Usage(input_tokens=5, output_tokens=3, raw={"total_tokens": 9}),
        Usage(input_tokens=5, output_tokens=3, raw={"totalTokenCount": 9}),
    ],
)
def test_it_notices_counts_that_do_not_add_up(usage: Usage) -> None:
    assert not usage.consistent()
    assert usage.complete is (usage.output_tokens is not None)
