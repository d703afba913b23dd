"""A kill at each named point of an answer's life, once. ``make crash-points`` does it with many seeds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos import crash_points
from tests.chaos.world import World

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


async def test_no_kill_loses_or_doubles_anything(
    tmp_path: Path, own_threads: None, redis_url: str, seed: int
) -> None:
    world = await asyncio.to_thread(World(tmp_path, redis_url=redis_url).__enter__)
    try:
        points = list(crash_points.POINTS)
        verdict = await crash_points.run(world, seeds=[seed], points=points, say=print)
        assert verdict.complaints == [], world.logs()
        assert verdict.points > len(points)
        assert verdict.reconnects > 0
        assert "TypeError" not in world.logs(), "a fuse does not fit what it is put on"
    finally:
        await asyncio.to_thread(world.__exit__)
