from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from pytest_django import Settings

from llm import registry
from llm.errors import BadCredentials, NotAvailable
from llm.kinds import PROVIDER_CLASSES, kind_choices
from llm.profiles import ProviderConfig, demo_profile
from llm.providers.demo import DemoProvider
from llm.registry import aclose_all, get_provider
from tests.fakes.provider_server import ProviderServer
from tests.llm.making import make_profile, make_request, run


@pytest.mark.parametrize("kind", [kind for kind in PROVIDER_CLASSES if kind != "demo"])
async def test_it_makes_each_kind_once_per_loop(kind: str) -> None:
    profile = make_profile(kind, "https://api.example.com")
    provider = get_provider(profile)
    assert get_provider(make_profile(kind, "https://api.example.com")) is provider
    assert f"{type(provider).__module__}.{type(provider).__name__}" == PROVIDER_CLASSES[kind]
    await aclose_all()
    assert get_provider(profile) is not provider
    await aclose_all()
    await aclose_all()


async def test_it_makes_another_one_for_another_key(settings: Settings) -> None:
    profile = replace(
        make_profile("openai_compatible"),
        provider=ProviderConfig("openai", "openai_compatible", "", "OPENAI_API_KEY"),
    )
    settings.OPENAI_API_KEY = "old"
    first = get_provider(profile)
    settings.OPENAI_API_KEY = "new"
    assert get_provider(profile) is not first
    await aclose_all()


async def test_it_tells_a_missing_key_before_anything_is_sent() -> None:
    profile = replace(
        make_profile("gemini"), provider=ProviderConfig("g", "gemini", "", "NOT_SET_API_KEY"), usable=False
    )
    with pytest.raises(BadCredentials):
        get_provider(profile)


async def test_it_tells_a_kind_that_nobody_speaks() -> None:
    with pytest.raises(NotAvailable):
        get_provider(make_profile("telepathy"))


def test_it_offers_every_kind_but_the_demo_model() -> None:
    assert [kind for kind, _ in kind_choices()] == [kind for kind in PROVIDER_CLASSES if kind != "demo"]


def test_it_forgets_loops_that_have_ended() -> None:
    async def once() -> None:
        get_provider(make_profile("openai_compatible"))

    asyncio.run(once())
    asyncio.run(once())
    assert len([loop for loop in registry._open if loop.is_closed()]) == 1
    asyncio.run(once())
    assert len([loop for loop in registry._open if loop.is_closed()]) == 1


async def test_it_closes_what_was_open(server: ProviderServer) -> None:
    provider = get_provider(make_profile("openai_compatible", server.url))
    await run(provider, make_request("1-2-1"))
    await aclose_all()
    async with asyncio.timeout(5):
        await server.requests[0].closed.wait()


async def test_it_closes_the_one_before_an_edit_once_its_calls_must_be_over(
    server: ProviderServer, settings: Settings
) -> None:
    profile = make_profile("openai_compatible", server.url)
    old = get_provider(profile)
    assert (await run(old, make_request("1-2-1"))).error is None
    edited = replace(profile, label="Renamed")
    new = get_provider(edited)
    assert new is not old
    # A call that begins with it now, and was on its way, still has its connection.
    assert (await run(old, make_request("1-2-1"))).error is None
    settings.GENERATION_TIMEOUT_SECONDS = 0.0
    newest = get_provider(profile)
    assert (await run(newest, make_request("1-2-1"))).error is None
    assert get_provider(edited) is not newest
    async with asyncio.timeout(5):
        await server.requests[2].closed.wait()
    assert not server.requests[1].closed.is_set()
    await aclose_all()
    async with asyncio.timeout(5):
        await server.requests[1].closed.wait()


async def test_it_keeps_nothing_of_the_demo_model() -> None:
    """Its names are without number."""
    for milliseconds in range(3):
        assert isinstance(get_provider(demo_profile(f"{milliseconds}-1-0")), DemoProvider)
    assert asyncio.get_running_loop() not in registry._open
