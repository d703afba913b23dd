"""From what a provider reported to what the ledger counts: the one place where the two meet.

``llm.Usage`` is inclusive (cached within input, thinking within output); ``billing.UsageCounts`` is
disjoint. Where the provider said nothing, our own count stands in and the result is *estimated*.
"""

from __future__ import annotations

import logging

from billing.models import MAX_CALL_TOKENS
from billing.usage import UsageCounts
from llm.tokens import count_tokens
from llm.usage import Usage

logger = logging.getLogger(__name__)

# Input and output together must stay within what the ledger takes for one call.
MOST_TOKENS = MAX_CALL_TOKENS // 2


def believable(usage: Usage | None) -> Usage | None:
    """The report, or None where a count is negative or beyond what any call can use: it says nothing then."""
    if usage is None:
        return None
    counts = (
        usage.input_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.tool_prompt_tokens,
        usage.output_tokens,
        usage.thinking_tokens,
    )
    if all(count is None or 0 <= count <= MOST_TOKENS for count in counts):
        return usage
    logger.error("a provider reported an impossible usage, which is estimated instead: %r", usage)
    return None


def usage_counts(
    usage: Usage | None, *, input_estimate_tokens: int, text: str, encoding: str, output_cap_tokens: int
) -> tuple[UsageCounts, bool]:
    """The counts to charge and whether any of them is our estimate.

    ``text`` is what was received; its count stands in for a missing output figure and never exceeds
    ``output_cap_tokens``, the most that was asked for.
    """
    usage = usage or Usage()
    # Parts that do not fit their wholes are charged as far as they go, and said to be estimated.
    estimated = not usage.consistent()
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
