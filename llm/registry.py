"""Providers by model, one set per running event loop.

Connections belong to the loop that opened them, so a worker thread with a loop of its
own gets providers of its own. Whoever ends a loop calls ``aclose_all`` in it first.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

from django.conf import settings

from llm.errors import BadCredentials, NotAvailable
from llm.kinds import PROVIDER_CLASSES
from llm.profiles import Profile, read_api_key

if TYPE_CHECKING:
    from llm.providers.base import Provider, ProviderFactory


@dataclass(slots=True)
class _Open:
    """What one event loop has open: by model id, and what was replaced since."""

    current: dict[str, tuple[Profile, str, Provider]] = field(default_factory=dict)
    retired: dict[Provider, asyncio.TimerHandle] = field(default_factory=dict)
    closing: set[asyncio.Task[None]] = field(default_factory=set)

    def retire(self, provider: Provider) -> None:
        """Close it when no call that has begun with it can still run."""
        loop = asyncio.get_running_loop()
        self.retired[provider] = loop.call_later(settings.GENERATION_TIMEOUT_SECONDS, self._close, provider)

    def _close(self, provider: Provider) -> None:
        del self.retired[provider]
        task = asyncio.ensure_future(provider.aclose())
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)

    async def aclose(self) -> None:
        for timer in self.retired.values():
            timer.cancel()
        for provider in (*self.retired, *(provider for *_, provider in self.current.values())):
            await provider.aclose()
        await asyncio.gather(*self.closing)


_open: dict[asyncio.AbstractEventLoop, _Open] = {}


def get_provider(profile: Profile) -> Provider:
    """The provider that speaks to this model, in the running loop.

    One for an edited profile, or for another key, takes the place of the one before.
    Never blocks. Raises BadCredentials when the key is not set, NotAvailable for a
    kind that no class speaks.
    """
    api_key = read_api_key(profile.provider.api_key_env)
    if profile.provider.kind == "demo":
        # It has nothing to keep, and anybody may think of another name for it.
        return _load_class("demo")(profile, api_key)
    loop = asyncio.get_running_loop()
    own = _open.get(loop)
    if own is None:
        _forget_closed_loops()
        own = _open[loop] = _Open()
    known = own.current.get(profile.model_id)
    if known is not None and known[:2] == (profile, api_key):
        return known[2]
    if not profile.usable and not api_key:
        raise BadCredentials(f"{profile.provider.api_key_env} is not set")
    provider = _load_class(profile.provider.kind)(profile, api_key)
    own.current[profile.model_id] = (profile, api_key, provider)
    if known is not None:
        own.retire(known[2])
    return provider


def counts_tokens(profile: Profile) -> bool:
    """Whether the provider of this model can count an input: see ``TokenCounter``."""
    return hasattr(_load_class(profile.provider.kind), "count_tokens")


async def aclose_all() -> None:
    """Close what the running loop has open."""
    own = _open.pop(asyncio.get_running_loop(), None)
    if own is not None:
        await own.aclose()


def _load_class(kind: str) -> ProviderFactory:
    path = PROVIDER_CLASSES.get(kind)
    if path is None:
        raise NotAvailable(f"no provider class for kind {kind!r}")
    module_name, _, class_name = path.rpartition(".")
    factory: ProviderFactory = getattr(import_module(module_name), class_name)
    return factory


def _forget_closed_loops() -> None:
    for loop in [loop for loop in _open if loop.is_closed()]:
        del _open[loop]
