"""A provider's own count of an input, asked for within a second and remembered by the prompt."""

from __future__ import annotations

import asyncio
import logging
import time
from hashlib import blake2b

import orjson

from llm.errors import LLMError
from llm.messages import ChatRequest
from llm.profiles import Profile
from llm.providers.base import TokenCounter
from llm.registry import counts_tokens, get_provider

logger = logging.getLogger(__name__)

# An answer that waits for a count should not be seen to wait.
TIMEOUT_SECONDS = 1.0
# A provider that could not count is not asked again for so long.
PAUSE_SECONDS = 30.0
REMEMBERED_COUNTS = 2000

_counts: dict[bytes, int] = {}
_paused_until: dict[str, float] = {}


def can_count(profile: Profile) -> bool:
    """Whether the provider counts inputs, and did not fail at it just now."""
    return counts_tokens(profile) and time.monotonic() >= _paused_until.get(profile.model_id, 0.0)


def prompt_key(profile: Profile, request: ChatRequest) -> bytes:
    """A digest of what decides an input's count: the model and all texts."""
    messages = [(message.role, message.text) for message in request.messages]
    return blake2b(orjson.dumps((profile.model_id, request.system, messages)), digest_size=16).digest()


async def ask_count(profile: Profile, request: ChatRequest) -> int | None:
    """The provider's count, within ``TIMEOUT_SECONDS``; None where it has none or could not tell.

    Each prompt is asked about once. Call it in the event loop that the model is called in.
    """
    key = prompt_key(profile, request)
    count = _counts.get(key)
    if count is not None or not can_count(profile):
        return count
    try:
        provider = get_provider(profile)
        assert isinstance(provider, TokenCounter)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            count = await provider.count_tokens(request)
    except (LLMError, TimeoutError) as error:
        logger.info("not counted by the provider model=%s error=%s", profile.model_id, type(error).__name__)
        _paused_until[profile.model_id] = time.monotonic() + PAUSE_SECONDS
        return None
    logger.info("counted by the provider model=%s tokens=%d", profile.model_id, count)
    _counts[key] = count
    if len(_counts) > REMEMBERED_COUNTS:
        del _counts[next(iter(_counts))]
    return count


def forget_counts() -> None:
    """Remember no counts and no failures."""
    _counts.clear()
    _paused_until.clear()
