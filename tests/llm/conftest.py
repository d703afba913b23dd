from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from llm import profiles
from tests.fakes.provider_server import ProviderServer


@pytest.fixture(autouse=True)
def fresh_profiles() -> Iterator[None]:
    """Rows of one test are rolled back; what was read of them must not outlive it."""
    profiles.clear_cache()
    yield
    profiles.clear_cache()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ProviderServer]:
    server = ProviderServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def corpora() -> Path:
    default = Path(__file__).resolve().parents[3] / "shared" / "corpora"
    folder = Path(os.environ.get("CHATSITE_CORPORA") or default)
    if not folder.is_dir():
        pytest.skip("the corpora are not here")
    return folder
