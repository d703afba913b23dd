"""Real processes for the stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from django.contrib.auth.models import User

from conversations.database import close_database_threads
from conversations.models import ApiKey, Conversation
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


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


@pytest.fixture
def secret(alice: User) -> str:
    """Of an API key."""
    return ApiKey.create(user=alice)[1]
