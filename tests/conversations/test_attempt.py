"""A running attempt: what it takes from the provider, and which reason of its end holds."""

from __future__ import annotations

import asyncio
import time
import uuid
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conversations.running import Attempt
from tests.conversations.test_live import make_stream


def make_attempt(cap: int = 10) -> Attempt:
    profile = SimpleNamespace(encoding="o200k_base", model_id="demo:friendly")
    claim = SimpleNamespace(
        output_cap_tokens=cap, profile=profile, generation_id=uuid.uuid4(), turn_id=uuid.uuid4(), attempt=1
    )
    stream = make_stream()
    stream.begin(1)
    task = asyncio.get_running_loop().create_task(asyncio.sleep(60))
    now = time.monotonic()
    return Attempt(
        claim=cast(Any, claim), stream=stream, task=cast(Any, task), started_at=now, last_event_at=now
    )


@pytest.mark.parametrize("character", [chr(0), chr(0xD800), chr(0xDFFF)])
async def test_it_replaces_what_no_database_stores(character: str) -> None:
    attempt = make_attempt()
    assert attempt.take(f"a{character}b")
    assert attempt.stream.text() == "a\N{REPLACEMENT CHARACTER}b"
    attempt.cancel("stopped")


async def test_it_takes_no_more_deltas_than_tokens_were_asked_for() -> None:
    attempt = make_attempt(cap=2)
    assert attempt.take("a")
    assert attempt.take("b")
    assert not attempt.take("c")
    assert attempt.stream.text() == "ab"
    attempt.cancel("over_cap")


async def test_it_cuts_by_count_where_a_delta_holds_many_tokens() -> None:
    attempt = make_attempt(cap=100)
    taken = [attempt.take("word " * 100) for _ in range(6)]
    assert False in taken
    attempt.cancel("over_cap")


async def test_a_persons_stop_outranks_a_hand_over_but_not_an_end() -> None:
    attempt = make_attempt()
    attempt.cancel("handover")
    attempt.cancel("stopped")
    assert attempt.cancelled == "stopped"
    late = make_attempt()
    late.concluding = True
    late.cancel("stopped")
    assert late.cancelled is None
    late.task.cancel()
