"""What every provider is."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol, runtime_checkable
from urllib.request import getproxies

from llm.messages import ChatRequest
from llm.profiles import Profile
from llm.stream import StreamEvent

CONNECT_TIMEOUT_SECONDS = 10.0


class Provider(Protocol):
    """Speaks to one model; bound to the event loop it was made in.

    ``stream`` yields ``llm.stream`` events and raises ``llm.errors`` classes, nothing
    else. Iterate it in a task of its own: cancelling that task closes the connection
    to the provider at once. A ``break`` alone does not. It never retries, and waits
    for the first and the next event as long as its caller does.
    """

    def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]: ...

    async def aclose(self) -> None: ...


@runtime_checkable
class TokenCounter(Protocol):
    """What a provider has that counts an input by itself, without answering. Optional."""

    async def count_tokens(self, request: ChatRequest) -> int:
        """The input tokens that a call of this request would be charged for, above 0.

        Raises ``llm.errors`` classes, nothing else. Cancelling closes the connection.
        """
        ...


def asks_environment() -> bool:
    """Whether sessions must look there for proxies and passwords: a thread, twice a call."""
    return bool(getproxies() or "NETRC" in os.environ or Path("~/.netrc").expanduser().exists())


class ProviderFactory(Protocol):
    """A provider class. ``api_key`` is "" for servers that take none."""

    def __call__(self, profile: Profile, api_key: str) -> Provider: ...
