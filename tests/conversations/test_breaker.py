"""The breakers of models and keys, on a real Valkey: when they open, who probes, when they close."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from conversations.admission.gate import OPEN_SECONDS, STRIKES, Gate, KeptBack
from conversations.admission.pace import Call
from conversations.admission.results import Result, result_of
from conversations.availability import in_words
from llm import errors
from llm.errors import BadCredentials, BreakerOpen, DailyQuota, LLMError, OutOfCredit
from tests.conversations.gates import FAILED, OK, go, make_call, pass_time

FIRST, LONGEST = OPEN_SECONDS["failed"]


@pytest_asyncio.fixture
async def gate(redis_url: str) -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    await gate.aclose()


async def tell(gate: Gate, *results: Result) -> None:
    for result in results:
        await gate.report(await go(gate, make_call()), result)


async def refused(gate: Gate, call: Call | None = None) -> LLMError:
    with pytest.raises(LLMError) as caught:
        await gate.admit(call or make_call())
    return caught.value


async def test_it_opens_when_half_of_ten_calls_have_failed(gate: Gate) -> None:
    await tell(gate, *[OK] * 5, *[FAILED] * 5)
    error = await refused(gate)
    assert isinstance(error, BreakerOpen)
    assert error.retry_after_seconds == pytest.approx(FIRST, abs=0.5)


@pytest.mark.parametrize("results", [[FAILED] * 9, [OK] * 6 + [FAILED] * 5])
async def test_it_stays_closed_with_fewer_calls_or_failures(gate: Gate, results: list[Result]) -> None:
    await tell(gate, *results)
    await go(gate, make_call())


async def test_it_forgets_what_is_older_than_its_window(gate: Gate) -> None:
    await tell(gate, *[FAILED] * 9)
    pass_time(35)
    await tell(gate, *[FAILED] * 9)
    await go(gate, make_call())


async def open_it(gate: Gate) -> None:
    await tell(gate, *[FAILED] * 10)


async def test_one_probe_goes_at_a_time_and_its_success_closes(gate: Gate) -> None:
    await open_it(gate)
    pass_time(FIRST)
    probe = await go(gate, make_call())
    assert probe.probe
    error = await refused(gate)
    assert error.retry_after_seconds == 5.0
    await gate.report(probe, OK)
    assert not (await go(gate, make_call())).probe
    await tell(gate, *[FAILED] * 9)  # it counts from nothing


async def test_a_failed_probe_opens_it_for_longer_and_at_most_so_long(gate: Gate) -> None:
    await open_it(gate)
    opened = FIRST
    for _ in range(6):
        pass_time(opened)
        await gate.report(await go(gate, make_call()), FAILED)
        opened = min(opened * 2, LONGEST)
        assert (await refused(gate)).retry_after_seconds == pytest.approx(opened, abs=0.5)


async def test_a_late_failure_never_brings_the_probe_forward(gate: Gate) -> None:
    late = await go(gate, make_call())
    hint = Result("failed", "provider_overloaded", hint_seconds=60)
    await tell(gate, *[FAILED] * 9, hint)
    await gate.report(late, FAILED)
    assert (await refused(gate)).retry_after_seconds == pytest.approx(60, abs=0.5)


@pytest.mark.parametrize("result", [Result("none"), Result("limited", "rate_limited")])
async def test_a_probe_that_says_nothing_leaves_the_probing_to_the_next(gate: Gate, result: Result) -> None:
    await open_it(gate)
    pass_time(FIRST)
    await gate.report(await go(gate, make_call()), result)
    assert (await go(gate, make_call())).probe


async def test_a_probe_that_never_reports_is_replaced(gate: Gate) -> None:
    await open_it(gate)
    pass_time(FIRST)
    await go(gate, make_call())
    pass_time(45)
    assert (await go(gate, make_call())).probe


@pytest.mark.parametrize("error_class", [BadCredentials, OutOfCredit])
async def test_a_fault_of_the_key_closes_the_gate_for_all_its_models(
    gate: Gate, error_class: type[LLMError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "one")
    keyed: dict[str, Any] = {"api_key_env": "GEMINI_API_KEY"}
    broken = result_of(error_class(), cancelled=None, saw_event=False)
    await gate.report(await go(gate, make_call(**keyed)), broken)
    # The person reads why, not that some breaker is open.
    assert type(await refused(gate, make_call(name="other", **keyed))) is error_class
    monkeypatch.setenv("GEMINI_API_KEY", "two")
    await go(gate, make_call(name="other", **keyed))


async def test_a_used_up_day_closes_the_gate_for_the_model_until_the_hint(gate: Gate) -> None:
    used_up = result_of(DailyQuota(retry_after_seconds=7200), cancelled=None, saw_event=False)
    await tell(gate, used_up)
    error = await refused(gate)
    assert type(error) is DailyQuota
    assert error.retry_after_seconds == pytest.approx(7200, abs=1)


async def test_a_used_up_day_does_not_keep_the_next_one_waiting(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.admission.gate.provider_day", lambda profile, now: ("today", 30.0))
    await tell(gate, result_of(DailyQuota(), cancelled=None, saw_event=False))
    error = await refused(gate)
    assert error.retry_after_seconds == pytest.approx(30, abs=1)
    pass_time(31)
    assert (await go(gate, make_call())).probe


SERVICE_FAULTS = [
    errors.ProviderError,
    errors.ProviderTimedOut,
    errors.ProviderOverloaded,
    errors.ConnectionFailed,
    errors.Stalled,
    errors.Truncated,
]


@pytest.mark.parametrize("error_class", SERVICE_FAULTS)
def test_faults_of_the_service_count_against_it(error_class: type[LLMError]) -> None:
    found = result_of(error_class(retry_after_seconds=3), cancelled=None, saw_event=True)
    assert (found.kind, found.code, found.hint_seconds) == ("failed", error_class.code, 3)


@pytest.mark.parametrize("error_class", [errors.BadRequest, errors.ContextTooLong, errors.ContentBlocked])
def test_an_answer_of_no_is_an_answer(error_class: type[LLMError]) -> None:
    assert result_of(error_class(), cancelled=None, saw_event=False).kind == "ok"


@pytest.mark.parametrize(
    ("cancelled", "saw_event", "kind"),
    [
        ("first_token_timeout", False, "failed"),
        ("stalled", True, "failed"),
        ("stopped", True, "ok"),
        ("stopped", False, "none"),
        ("handover", False, "none"),
        ("over_cap", True, "ok"),
    ],
)
def test_silence_counts_and_a_stop_does_not(cancelled: str, saw_event: bool, kind: str) -> None:
    assert result_of(None, cancelled=cancelled, saw_event=saw_event).kind == kind


def test_a_slow_down_halves_the_pace() -> None:
    assert result_of(errors.SlowDown(), cancelled=None, saw_event=False).factor == 0.5
    assert result_of(errors.RateLimited(), cancelled=None, saw_event=False).factor == 0.7
    assert result_of(errors.ModelGone(), cancelled=None, saw_event=False).kind == "none"


async def test_it_says_which_models_are_kept_back_and_for_how_long(gate: Gate) -> None:
    broken, steady, busy = (make_call(name=name) for name in ("broken", "steady", "busy"))
    for _ in range(10):
        await gate.report(await go(gate, replace(broken, ticket=uuid.uuid4())), FAILED)
    for _ in range(STRIKES):
        limited = Result("limited", "rate_limited", hint_seconds=40.0)
        await gate.report(await go(gate, replace(busy, ticket=uuid.uuid4())), limited)
    profiles = [call.profile for call in (broken, steady, busy)]
    found = await gate.kept_back(profiles)
    assert {model: kept.code for model, kept in found.items()} == {
        "gemini:broken": "provider_error",
        "gemini:busy": "rate_limited",
    }
    assert found["gemini:broken"].seconds == pytest.approx(FIRST, abs=0.5)
    assert found["gemini:busy"].seconds == pytest.approx(40.0, abs=0.5)
    pass_time(40.0)
    assert await gate.kept_back(profiles) == {}
    assert await gate.kept_back([]) == {}


async def test_it_says_of_a_bad_key_which_models_it_keeps_back(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARED_API_KEY", "of both")
    one, other = (make_call(name=name, api_key_env="SHARED_API_KEY") for name in ("one", "other"))
    await gate.report(await go(gate, one), Result("key", "bad_credentials"))
    found = await gate.kept_back([one.profile, other.profile])
    assert {model: kept.code for model, kept in found.items()} == dict.fromkeys(
        ("gemini:one", "gemini:other"), "bad_credentials"
    )


def test_it_says_in_words_why_a_model_is_kept_back() -> None:
    assert in_words(KeptBack(40.0, "provider_error")) == "Not answering now: tried again in 40 s"
    assert in_words(KeptBack(11_000.0, "daily_quota")) == "Used up for today: free again in 3 h 3 min"
    assert in_words(KeptBack(12.0, "rate_limited")) == "Busy: free again in 12 s"
