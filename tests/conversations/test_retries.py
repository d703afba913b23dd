"""When an attempt is repeated: never earlier than the hint, never beyond the patience."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from conversations.retries import delay_seconds
from llm.errors import BadCredentials, DailyQuota, LLMError, OutOfCredit, ProviderError, RateLimited


def delay(error: LLMError, *, attempt: int = 1, waited: float = 0.0, seed: int = 1) -> float | None:
    return delay_seconds(
        error,
        attempt=attempt,
        waited_seconds=waited,
        max_retries=5,
        patience_seconds=60.0,
        rng=random.Random(seed),
    )


@given(hint=st.floats(0, 60), waited=st.floats(0, 60), attempt=st.integers(1, 5), seed=st.integers())
def test_it_is_never_earlier_than_the_hint(hint: float, waited: float, attempt: int, seed: int) -> None:
    found = delay(RateLimited(retry_after_seconds=hint), attempt=attempt, waited=waited, seed=seed)
    if waited + hint > 60.0:
        assert found is None
    elif found is not None:
        assert hint <= found
        assert waited + found <= 60.0


@given(attempt=st.integers(1, 5), seed=st.integers())
def test_it_doubles_without_a_hint_and_keeps_half_for_rate_limits(attempt: int, seed: int) -> None:
    step = 2.0 ** (attempt - 1)
    limited = delay(RateLimited(), attempt=attempt, seed=seed)
    assert limited is not None
    assert step / 2 <= limited <= step
    failed = delay(ProviderError(), attempt=attempt, seed=seed)
    assert failed is not None
    assert step / 4 <= failed <= step


def test_it_gives_up_after_five_retries() -> None:
    assert delay(ProviderError(), attempt=5) is not None
    assert delay(ProviderError(), attempt=6) is None


def test_it_does_not_repeat_what_cannot_succeed() -> None:
    for error in (BadCredentials(), OutOfCredit(), DailyQuota()):
        assert delay(error) is None


def test_it_does_not_wait_beyond_the_patience() -> None:
    assert delay(RateLimited(retry_after_seconds=61.0)) is None
    assert delay(RateLimited(retry_after_seconds=10.0), waited=55.0) is None
