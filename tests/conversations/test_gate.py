"""The limits, the queue and the retry budget at the gate, on a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from django.test import override_settings

from conversations.admission import gate as gates
from conversations.admission.gate import Admission, Gate
from conversations.admission.results import Result
from llm.errors import DailyQuota
from llm.usage import Usage
from tests.conversations.gates import OK, go, later, make_call, pass_time, wait

LIMITED = Result("limited", "rate_limited")


@pytest_asyncio.fixture
async def gate(redis_url: str) -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    await gate.aclose()


async def test_it_lets_a_model_without_limits_go(gate: Gate) -> None:
    for _ in range(50):
        await go(gate, make_call())


async def test_it_lets_a_tenth_go_at_once_and_tells_the_others_their_time_and_place(gate: Gate) -> None:
    for _ in range(6):
        await go(gate, make_call(requests_per_minute=60))
    seventh = await wait(gate, make_call(requests_per_minute=60))
    eighth = await wait(gate, make_call(requests_per_minute=60))
    assert (seventh.place, eighth.place) == (1, 2)
    # 54 a minute are used of 60.
    assert seventh.seconds == pytest.approx(60 / 54, abs=0.2)
    assert eighth.seconds - seventh.seconds == pytest.approx(60 / 54, abs=0.2)


async def test_it_lets_even_the_smallest_limit_through(gate: Gate) -> None:
    await go(gate, make_call(requests_per_minute=1))
    second = await wait(gate, make_call(requests_per_minute=1))
    assert second.seconds == pytest.approx(60 / 0.9, abs=0.5)


async def test_it_keeps_keys_and_models_apart(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    await go(gate, make_call("gemini", requests_per_minute=1))
    await go(gate, make_call("openai_compatible", requests_per_minute=1))
    await wait(gate, make_call("gemini", requests_per_minute=1))


async def test_a_waiting_call_goes_when_its_time_has_come(gate: Gate) -> None:
    call = make_call(requests_per_minute=1)
    await go(gate, make_call(requests_per_minute=1))
    told = await wait(gate, call)
    again = await wait(gate, call)
    assert again.place == told.place == 1
    pass_time(told.seconds)
    await go(gate, call)
    assert (await wait(gate, make_call(requests_per_minute=1))).place == 1


async def test_nobody_passes_an_older_call_that_waits(gate: Gate) -> None:
    await go(gate, make_call(requests_per_minute=1))
    older = make_call(requests_per_minute=1)
    younger = make_call(requests_per_minute=1, asked_at=later(1))
    assert (await wait(gate, younger)).place == 1
    assert (await wait(gate, older)).place == 1
    assert (await wait(gate, younger)).place == 2
    pass_time(67)
    assert (await wait(gate, younger)).place == 2
    await go(gate, older)


async def test_a_small_call_does_not_pass_a_large_one_that_waits(gate: Gate) -> None:
    await go(gate, make_call(tokens_per_minute=10_000, input_tokens=900))
    large = make_call(tokens_per_minute=10_000, input_tokens=8_000)
    assert (await wait(gate, large)).place == 1
    assert (await wait(gate, make_call(tokens_per_minute=10_000, input_tokens=1))).place == 2


async def test_who_leaves_or_does_not_come_back_gives_up_the_place(gate: Gate) -> None:
    await go(gate, make_call(requests_per_minute=1))
    left, lost, last = (make_call(requests_per_minute=1, asked_at=later(number)) for number in range(3))
    for call in (left, lost, last):
        await wait(gate, call)
    await gate.leave(left.ticket, left.profile)
    assert (await wait(gate, last)).place == 2
    pass_time(200)
    await go(gate, last)


async def test_it_takes_no_request_where_the_tokens_do_not_fit(gate: Gate) -> None:
    limits: dict[str, Any] = {"requests_per_minute": 10, "tokens_per_minute": 1_000}
    await go(gate, make_call(input_tokens=100, **limits))
    too_large = make_call(input_tokens=900, **limits)
    for _ in range(5):
        await wait(gate, too_large)
    await gate.leave(too_large.ticket, too_large.profile)
    pass_time(7)
    # Had the refused ones been counted, ten seconds' worth of requests would be gone.
    await go(gate, make_call(input_tokens=1, **limits))


async def test_it_lets_a_call_go_that_is_larger_than_the_limit(gate: Gate) -> None:
    await go(gate, make_call(tokens_per_minute=1_000, input_tokens=5_000))
    assert (await wait(gate, make_call(tokens_per_minute=1_000, input_tokens=5_000))).seconds > 300


async def test_it_counts_the_longest_answer_where_the_provider_does(gate: Gate) -> None:
    assert make_call("gemini", input_tokens=10).limited_tokens == 10
    assert make_call("openai_compatible", input_tokens=10).limited_tokens == 110


async def test_it_gives_back_the_tokens_that_were_not_used(gate: Gate) -> None:
    admission = await go(gate, make_call(tokens_per_minute=1_000, input_tokens=900))
    call = make_call(tokens_per_minute=1_000, input_tokens=90)
    assert (await wait(gate, call)).seconds > 50
    await gate.report(admission, OK, Usage(input_tokens=9, output_tokens=1))
    await go(gate, call)


async def test_it_takes_what_was_used_beyond_the_estimate(gate: Gate) -> None:
    admission = await go(gate, make_call(tokens_per_minute=1_000, input_tokens=10))
    await gate.report(admission, OK, Usage(input_tokens=900, output_tokens=1))
    assert (await wait(gate, make_call(tokens_per_minute=1_000, input_tokens=10))).seconds > 40


async def test_it_tells_the_time_by_what_calls_really_use(gate: Gate) -> None:
    for _ in range(20):
        admission = await go(gate, make_call(tokens_per_minute=100_000, input_tokens=400))
        await gate.report(admission, OK, Usage(input_tokens=40, output_tokens=1))
    pass_time(5)
    await go(gate, make_call(tokens_per_minute=100_000, input_tokens=10_000))
    first = await wait(gate, make_call(tokens_per_minute=100_000, input_tokens=10_000))
    last = await wait(gate, make_call(tokens_per_minute=100_000, input_tokens=10_000))
    # At full size it would be 6.7 s later.
    assert last.seconds - first.seconds < 3


async def test_it_counts_the_requests_of_the_providers_day(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "provider_day", lambda profile, now: ("2026-11-21", 3600.0))
    for _ in range(9):
        await go(gate, make_call(requests_per_day=10))
    with pytest.raises(DailyQuota) as caught:
        await gate.admit(make_call(requests_per_day=10))
    assert caught.value.retry_after_seconds == 3600
    monkeypatch.setattr(gates, "provider_day", lambda profile, now: ("2026-11-22", 86_400.0))
    await go(gate, make_call(requests_per_day=10))


# --- Refusals of the provider ------------------------------------------------------


async def pace_interval(gate: Gate) -> float:
    """The seconds between two calls at the present pace."""
    while isinstance(await gate.admit(first := make_call(requests_per_minute=60)), Admission):
        pass
    second = make_call(requests_per_minute=60, asked_at=later(1))
    seconds = (await wait(gate, second)).seconds - (await wait(gate, first)).seconds
    for call in (first, second):
        await gate.leave(call.ticket, call.profile)
    return seconds


async def test_a_refusal_slows_the_pace_once_and_it_returns(gate: Gate) -> None:
    together = [await go(gate, make_call(requests_per_minute=60)) for _ in range(3)]
    for admission in together:
        await gate.report(admission, LIMITED)
    assert await pace_interval(gate) == pytest.approx(60 / 54 / 0.7, rel=0.05)
    pass_time(120)  # 5 % of the full pace come back each minute
    assert await pace_interval(gate) == pytest.approx(60 / 54 / 0.8, rel=0.05)


async def test_a_provider_that_asks_for_it_gets_half_the_pace(gate: Gate) -> None:
    admission = await go(gate, make_call(requests_per_minute=60))
    await gate.report(admission, Result("limited", "rate_limited", factor=0.5))
    assert await pace_interval(gate) == pytest.approx(60 / 54 / 0.5, rel=0.05)


async def test_everybody_waits_for_the_hint_after_three_refusals_in_a_row(gate: Gate) -> None:
    for _ in range(2):
        await gate.report(await go(gate, make_call()), Result("limited", "rate_limited", hint_seconds=30))
    await gate.report(await go(gate, make_call()), OK)
    for _ in range(3):
        await gate.report(await go(gate, make_call()), Result("limited", "rate_limited", hint_seconds=30))
    told = await wait(gate, make_call())
    assert told.seconds == pytest.approx(30, abs=0.5)
    pass_time(31)
    await go(gate, make_call())


# --- The budget of retries ------------------------------------------------------------


@pytest_asyncio.fixture
async def standing(redis_url: str) -> AsyncIterator[Gate]:
    """No time passes in it."""
    gate = Gate(clock=lambda: 1_700_000_000.0)
    yield gate
    await gate.aclose()


async def test_a_few_retries_are_free_and_many_are_spread_out(standing: Gate) -> None:
    gate = standing
    assert [await gate.retry_delay() for _ in range(gates.RETRIES_STORED)] == [0.0] * gates.RETRIES_STORED
    delays = [await gate.retry_delay() for _ in range(4)]
    assert delays == sorted(delays)
    assert delays[3] - delays[0] == pytest.approx(3 / gates.FREE_RETRIES_PER_SECOND)
    for _ in range(200):
        longest = await gate.retry_delay()
    assert longest <= gates.RETRIES_LENT / gates.FREE_RETRIES_PER_SECOND


async def test_calls_earn_retries(standing: Gate) -> None:
    gate = standing
    for _ in range(gates.RETRIES_STORED + 30):
        await gate.retry_delay()
    before = await gate.retry_delay()
    for _ in range(100):
        await go(gate, make_call())
    after = await gate.retry_delay()
    assert before - after == pytest.approx((100 * gates.RETRY_SHARE - 1) / gates.FREE_RETRIES_PER_SECOND)


# --- Without Valkey ---------------------------------------------------------------------


async def test_calls_go_where_valkey_is_away() -> None:
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        gate = Gate()
    admission = await go(gate, make_call(requests_per_minute=1))
    await gate.report(admission, OK)
    await go(gate, make_call(requests_per_minute=1))
    assert await gate.retry_delay() == 0.0
    await gate.aclose()


async def test_calls_go_where_valkey_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "ANSWER_TIMEOUT_SECONDS", 0.05)
    silent = await asyncio.start_server(lambda *_: asyncio.sleep(30), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with override_settings(REDIS_URL=f"redis://127.0.0.1:{port}/0"):
        gate = Gate()
    await go(gate, make_call(requests_per_minute=1))
    connections = len(silent.sockets)
    await go(gate, make_call(requests_per_minute=1))  # left alone for a while
    assert len(silent.sockets) == connections
    await gate.aclose()
    silent.close()


async def test_it_goes_on_after_valkey_was_flushed(gate: Gate, redis_url: str) -> None:
    import redis

    await go(gate, make_call(requests_per_minute=1))
    call = make_call(requests_per_minute=1)
    await wait(gate, call)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        client.script_flush()
    await go(gate, call)
    assert (await wait(gate, make_call(requests_per_minute=1))).place == 1
