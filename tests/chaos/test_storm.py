"""Everything fails while a few people ask. ``make chaos`` does it with many, and restarts PostgreSQL too."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path

import pytest

from chatsite.valkey import EmbeddedValkey
from tests.browser import build_pages, find_chromium
from tests.chaos.plan import Plan
from tests.chaos.storm import Storm
from tests.chaos.world import World

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


async def test_every_question_comes_to_its_end(tmp_path: Path, own_threads: None, seed: int) -> None:
    browsers = 2 if find_chromium() else 0
    if browsers:
        await asyncio.to_thread(build_pages)  # first: webs learn at their start which files there are
    valkey = EmbeddedValkey(tmp_path / "valkey")
    await asyncio.to_thread(valkey.start)
    world = World(tmp_path, redis_url=valkey.url, CHAOS_DROP_PERCENT="20")
    try:
        await asyncio.to_thread(world.__enter__)
        plan = Plan(
            seed,
            turns=18,
            people=6,
            browsers=browsers,
            webs=2,
            workers=1,
            pause=(0.5, 1.5),
            falls_silent=False,
        )
        verdict = await Storm(world, plan, valkey=valkey).run()
        print(verdict.summary())
        assert verdict.complaints == [], world.logs()
        assert verdict.ends.total() == plan.turns
        assert verdict.reconnects >= plan.turns
        assert verdict.compared > 0
        if not browsers:
            warnings.warn("no Chromium found: no browser took part in the storm", stacklevel=1)
            return
        assert verdict.pages.reconnects > browsers
        assert verdict.pages.drafts > browsers
    finally:
        await asyncio.to_thread(world.__exit__)
        await asyncio.to_thread(valkey.stop)
