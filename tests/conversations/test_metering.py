"""From a provider's report to the counts of the ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.metering import believable, usage_counts
from llm.usage import Usage

maybe = st.none() | st.integers(0, 10_000)


def counts(usage: Usage | None, text: str = "one two three", cap: int = 100) -> tuple[dict[str, int], bool]:
    found, estimated = usage_counts(
        usage, input_estimate_tokens=50, text=text, encoding="o200k_base", output_cap_tokens=cap
    )
    return {name: getattr(found, name) for name in found.__slots__}, estimated


def test_it_takes_the_parts_out_of_the_wholes() -> None:
    found, estimated = counts(
        Usage(
            input_tokens=100,
            cached_tokens=60,
            cache_write_tokens=5,
            tool_prompt_tokens=10,
            output_tokens=40,
            thinking_tokens=30,
        )
    )
    assert not estimated
    assert found == {
        "input_uncached": 25,
        "cache_read": 60,
        "cache_write": 5,
        "tool_prompt": 10,
        "output_visible": 10,
        "thinking": 30,
    }


def test_it_estimates_what_the_provider_did_not_say() -> None:
    found, estimated = counts(None)
    assert estimated
    assert found["input_uncached"] == 50
    assert found["output_visible"] == 3


def test_it_never_estimates_more_than_was_asked_for() -> None:
    found, _ = counts(None, text="word " * 500, cap=100)
    assert found["output_visible"] == 100


def test_it_keeps_a_reported_zero() -> None:
    found, estimated = counts(Usage(input_tokens=0, output_tokens=0))
    assert not estimated
    assert sum(found.values()) == 0


@pytest.mark.parametrize("absurd", [-1, 10**9, 10**30])
@pytest.mark.parametrize("field", ["input_tokens", "cached_tokens", "output_tokens", "thinking_tokens"])
def test_it_believes_no_impossible_count(field: str, absurd: int) -> None:
    change: dict[str, Any] = {field: absurd}
    usage = replace(Usage(input_tokens=10, output_tokens=10), **change)
    assert believable(usage) is None
    assert believable(Usage(input_tokens=10, output_tokens=10)) is not None
    assert believable(None) is None


def test_it_says_estimated_where_the_report_contradicts_itself() -> None:
    _, estimated = counts(Usage(input_tokens=10, cached_tokens=11, output_tokens=5))
    assert estimated
    _, estimated = counts(Usage(input_tokens=10, output_tokens=5, raw={"total_tokens": 16}))
    assert estimated


@given(maybe, maybe, maybe, maybe, maybe, maybe)
def test_it_never_counts_below_zero_and_keeps_the_totals(
    input_tokens: int | None,
    cached: int | None,
    written: int | None,
    tool: int | None,
    output: int | None,
    thinking: int | None,
) -> None:
    found, _ = counts(Usage(input_tokens, cached, written, tool, output, thinking))
    assert min(found.values()) >= 0
    if input_tokens is not None:
        parts = ("input_uncached", "cache_read", "cache_write", "tool_prompt")
        assert sum(found[part] for part in parts) == input_tokens
    if output is not None:
        assert found["output_visible"] + found["thinking"] == output
