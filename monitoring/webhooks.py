"""The HTTP client behind the webhook of alerts."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

TIMEOUT_SECONDS = 10.0


class Unanswered(Exception):
    """No answer came; the word is the name of what went wrong."""


async def post(url: str, body: dict[str, Any], *, private_allowed: bool) -> int:
    """The status of the answer; raises Unanswered. ``body["id"]`` is the idempotency key."""
    connector = aiohttp.TCPConnector(resolver=ThreadedResolver() if private_allowed else PublicResolver())
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    headers = {"Idempotency-Key": str(body["id"]), "User-Agent": "chatsite-alerts"}
    try:
        # A redirect could lead to where the address itself may not.
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.post(url, json=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unanswered(type(error).__name__) from error


class PublicResolver(AbstractResolver):
    """Resolves a name as ever, but refuses what leads into a private network, whatever the name says."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            if not ipaddress.ip_address(one["host"].partition("%")[0]).is_global:
                raise OSError(f"{host} leads to a private address")
        return found

    async def close(self) -> None:
        await self._resolver.close()
