"""Providers by profile, one set per running event loop.

Connections belong to the loop that opened them, so a worker thread with a loop of its
own gets providers of its own. Whoever ends a loop calls ``aclose_all`` in it first.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from llm.errors import BadCredentials, NotAvailable
from llm.kinds import PROVIDER_CLASSES
from llm.profiles import Profile, read_api_key

if TYPE_CHECKING:
    from llm.providers.base import Provider, ProviderFactory

CacheKey = tuple[Profile, str]

_providers: dict[asyncio.AbstractEventLoop, dict[CacheKey, Provider]] = {}


def get_provider(profile: Profile) -> Provider:
    """The provider that speaks to this model, in the running loop.

    Never blocks. Raises BadCredentials when the key is not set, NotAvailable for a
    kind that no class speaks.
    """
    loop = asyncio.get_running_loop()
    api_key = read_api_key(profile.provider.api_key_env)
    key = (profile, api_key)
    own = _providers.get(loop)
    if own is None:
        _forget_closed_loops()
        own = _providers[loop] = {}
    provider = own.get(key)
    if provider is None:
        if not profile.usable and profile.provider.kind != "demo" and not api_key:
            raise BadCredentials(f"{profile.provider.api_key_env} is not set")
        provider = own[key] = _load_class(profile.provider.kind)(profile, api_key)
    return provider


def counts_tokens(profile: Profile) -> bool:
    """Whether the provider of this model can count an input: see ``TokenCounter``."""
    return hasattr(_load_class(profile.provider.kind), "count_tokens")


async def aclose_all() -> None:
    """Close what the running loop has open."""
    own = _providers.pop(asyncio.get_running_loop(), {})
    for provider in own.values():
        await provider.aclose()


def _load_class(kind: str) -> ProviderFactory:
    path = PROVIDER_CLASSES.get(kind)
    if path is None:
        raise NotAvailable(f"no provider class for kind {kind!r}")
    module_name, _, class_name = path.rpartition(".")
    factory: ProviderFactory = getattr(import_module(module_name), class_name)
    return factory


def _forget_closed_loops() -> None:
    for loop in [loop for loop in _providers if loop.is_closed()]:
        del _providers[loop]
