"""From what a provider reported to what the ledger counts: the one place where the two meet.

``llm.Usage`` is inclusive (cached within input, thinking within output); ``billing.UsageCounts`` is
disjoint. Where the provider said nothing, our own count stands in and the result is *estimated*.
"""

from __future__ import annotations

from billing.usage import UsageCounts
from llm.tokens import count_tokens
from llm.usage import Usage


def usage_counts(
    usage: Usage | None, *, input_estimate_tokens: int, text: str, encoding: str, output_cap_tokens: int
) -> tuple[UsageCounts, bool]:
    """The counts to charge and whether any of them is our estimate.

    ``text`` is what was received; its count stands in for a missing output figure and never exceeds
    ``output_cap_tokens``, the most that was asked for.
    """
    usage = usage or Usage()
    estimated = usage.input_tokens is None or usage.output_tokens is None
    input_tokens = input_estimate_tokens if usage.input_tokens is None else usage.input_tokens
    if usage.output_tokens is None:
        thinking = usage.thinking_tokens or 0
        output_tokens = min(count_tokens(text, encoding) + thinking, output_cap_tokens)
    else:
        output_tokens = usage.output_tokens
    cache_read = min(usage.cached_tokens or 0, input_tokens)
    cache_write = min(usage.cache_write_tokens or 0, input_tokens - cache_read)
    tool_prompt = min(usage.tool_prompt_tokens or 0, input_tokens - cache_read - cache_write)
    thinking = min(usage.thinking_tokens or 0, output_tokens)
    counts = UsageCounts(
        input_uncached=input_tokens - cache_read - cache_write - tool_prompt,
        cache_read=cache_read,
        cache_write=cache_write,
        tool_prompt=tool_prompt,
        output_visible=output_tokens - thinking,
        thinking=thinking,
    )
    return counts, estimated
