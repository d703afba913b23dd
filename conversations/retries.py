"""When to try again: the delay before the next attempt, or None when there is none.

Pure. Delays follow what the provider asks for and are never shorter; without a hint they grow
exponentially. Jitter spreads the attempts of many turns that were refused in the same moment.
"""

from __future__ import annotations

import random

from llm.errors import LLMError, RateLimited

BASE_SECONDS = 1.0
LONGEST_SECONDS = 30.0


def delay_seconds(
    error: LLMError,
    *,
    attempt: int,
    waited_seconds: float,
    max_retries: int,
    patience_seconds: float,
    rng: random.Random,
) -> float | None:
    """Seconds until the attempt after number ``attempt`` (1 = the first), or None to give up.

    ``waited_seconds`` is the time since the question was accepted; the next attempt must start within
    ``patience_seconds`` of it.
    """
    if not error.retryable or attempt > max_retries:
        return None
    hint = error.retry_after_seconds
    if hint is not None:
        # Jitter only makes it later, and must not by itself exceed the patience that the hint fits in.
        room = max(patience_seconds - waited_seconds - hint, 0.0)
        delay = hint + rng.uniform(0.0, min(0.2 * hint + 1.0, room))
    else:
        step = min(BASE_SECONDS * 2 ** (attempt - 1), LONGEST_SECONDS)
        # Equal jitter: for a per-minute limit a delay near zero would be a wasted attempt.
        shortest = step / 2 if isinstance(error, RateLimited) else step / 4
        delay = rng.uniform(shortest, step)
    if waited_seconds + delay > patience_seconds:
        return None
    return delay
