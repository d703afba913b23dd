from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from llm import profiles
from llm.providers.base import Provider
from tests.fakes.provider_server import ProviderServer
from tests.llm.making import Make, make_provider


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


@pytest_asyncio.fixture
async def make(server: ProviderServer) -> AsyncIterator[Make]:
    providers: list[Provider] = []

    def make(kind: str, base_url: str | None = None, **fields: Any) -> Provider:
        provider = make_provider(kind, server.url if base_url is None else base_url, **fields)
        providers.append(provider)
        return provider

    yield make
    for provider in providers:
        await provider.aclose()


@pytest.fixture
def corpora() -> Path:
    default = Path(__file__).resolve().parents[3] / "shared" / "corpora"
    folder = Path(os.environ.get("CHATSITE_CORPORA") or default)
    if not folder.is_dir():
        pytest.skip("the corpora are not here")
    return folder
