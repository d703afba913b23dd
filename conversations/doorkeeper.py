"""Closes the sockets of people who signed out, were deactivated or lost their key, within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from itertools import islice

from conversations.database import in_database
from conversations.socket_auth import Credential, still_welcome

logger = logging.getLogger(__name__)

CHECK_SECONDS = 4.0
# Of as many as these the sessions are read and their signatures checked in one go: some ten milliseconds,
# behind which a question may have to wait.
CHECKED_AT_ONCE = 200

Close = Callable[[], Awaitable[None]]


class Doorkeeper:
    """Asks the database for all sockets of this process together."""

    def __init__(self) -> None:
        self._watched: dict[object, tuple[Credential, Close]] = {}

    def watch(self, socket: object, credential: Credential, close: Close) -> None:
        self._watched[socket] = (credential, close)

    def forget(self, socket: object) -> None:
        self._watched.pop(socket, None)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            watched = tuple(self._watched.items())
            if not watched:
                continue
            try:
                welcome = await _still_welcome({credential for _, (credential, _) in watched})
            except Exception:
                logger.exception("sockets could not be checked; they are checked again")
                continue  # unknown is not unwelcome
            for socket, (credential, close) in watched:
                if credential not in welcome and socket in self._watched:
                    self.forget(socket)
                    with contextlib.suppress(OSError, RuntimeError):  # it has just closed by itself
                        await close()


async def _still_welcome(credentials: Collection[Credential]) -> set[Credential]:
    welcome: set[Credential] = set()
    rest = iter(credentials)
    while chunk := set(islice(rest, CHECKED_AT_ONCE)):
        welcome |= await in_database(still_welcome, chunk)
    return welcome
