"""Real processes for the stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from conversations.database import close_database_threads
from conversations.runtime import shut_down
from tests.stories.site import Site


@pytest_asyncio.fixture
async def site(
    tmp_path: Path, transactional_db: None, redis_url: str, request: pytest.FixtureRequest
) -> AsyncIterator[Site]:
    """Programs on the test's database; their logs are printed when the test fails."""
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.stop()
        print(made.logs())
        await shut_down(seconds=0)
        close_database_threads()
