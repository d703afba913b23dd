"""A fifth of all calls is refused, hinted or not. ``python -m tests.chaos busy`` asks 300 questions."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos import busy
from tests.chaos.world import World

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


async def test_every_question_is_answered_in_the_end_and_no_hint_is_disregarded(
    tmp_path: Path, own_threads: None, redis_url: str, seed: int
) -> None:
    world = World(tmp_path, redis_url=redis_url, provider=busy.provider_options(seed))
    try:
        await asyncio.to_thread(world.__enter__)
        verdict = await busy.run(world, turns=40, people=20)
        print(verdict.summary())
        assert verdict.complaints == [], world.logs()
        assert (verdict.completed_percent, verdict.early) == (100, 0)
        assert verdict.hinted > 0
        assert verdict.calls == verdict.refused + verdict.turns
    finally:
        await asyncio.to_thread(world.__exit__)
