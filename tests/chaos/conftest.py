"""What the small versions of the chaos programmes share."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from conversations.database import close_database_threads
from conversations.runtime import shut_down


@pytest.fixture
def seed() -> int:
    """Another one with CHAOS_SEED."""
    return int(os.environ.get("CHAOS_SEED", "1"))


@pytest_asyncio.fixture
async def own_threads(transactional_db: None) -> AsyncIterator[None]:
    """This process's own database threads end with the test."""
    yield
    await shut_down(seconds=0)
    close_database_threads()


@pytest.fixture(autouse=True)
def provider_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker is to answer is asked from this process."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
