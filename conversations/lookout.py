"""Finds what nobody said: notices between processes may get lost, the database is always right.

Every two seconds it reads where the open conversations of this process stand: one query for all of them, and
a second one for those that have moved on. A socket that may not have heard of it is told.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection
from itertools import islice
from typing import Protocol, TypeVar

from conversations.database import in_database
from conversations.standings import Begun, Standing, begun_last, standings

logger = logging.getLogger(__name__)

ROUND_SECONDS = 2.0
# A question waits behind what is read in one go: some milliseconds.
READ_AT_ONCE = 250

R = TypeVar("R")


class Socket(Protocol):
    def on_standing(self, standing: Standing | None, begun: Begun | None) -> None:
        """The conversation has moved on; ``standing`` None: it is gone. ``begun`` None: nothing was asked."""


class Lookout:
    def __init__(self) -> None:
        # With what each was told last, None as long as there is nothing.
        self._sockets: dict[uuid.UUID, dict[Socket, Standing | None]] = {}

    def watch(self, conversation_id: uuid.UUID, socket: Socket) -> None:
        """What it shows may be old already: it is told at the next round."""
        self._sockets.setdefault(conversation_id, {})[socket] = None

    def forget(self, conversation_id: uuid.UUID, socket: Socket) -> None:
        sockets = self._sockets.get(conversation_id, {})
        sockets.pop(socket, None)
        if not sockets:
            self._sockets.pop(conversation_id, None)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            try:
                await self.look()
            except Exception:
                logger.exception("open conversations could not be compared; they are compared again")

    async def look(self) -> None:
        """One round."""
        asked = {pk: tuple(sockets) for pk, sockets in self._sockets.items()}
        if not asked:
            return
        found = await _read(standings, asked)
        moved = {
            pk: [socket for socket in sockets if self._is_late(pk, socket, found.get(pk))]
            for pk, sockets in asked.items()
        }
        behind = [pk for pk, sockets in moved.items() if sockets]
        begun = await _read(begun_last, [pk for pk in behind if pk in found])
        for pk in behind:
            for socket in moved[pk]:
                self._tell(pk, socket, found.get(pk), begun.get(pk))

    def _is_late(self, pk: uuid.UUID, socket: Socket, standing: Standing | None) -> bool:
        told = self._sockets.get(pk, {})
        return socket in told and (standing is None or told[socket] != standing)

    def _tell(self, pk: uuid.UUID, socket: Socket, standing: Standing | None, begun: Begun | None) -> None:
        told = self._sockets.get(pk, {})
        if socket not in told:
            return  # it was closed meanwhile
        if standing is None:
            self.forget(pk, socket)
        else:
            told[socket] = standing
        socket.on_standing(standing, begun)


async def _read(
    query: Callable[[Collection[uuid.UUID]], dict[uuid.UUID, R]], ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, R]:
    found: dict[uuid.UUID, R] = {}
    rest = iter(tuple(ids))
    while chunk := tuple(islice(rest, READ_AT_ONCE)):
        found |= await in_database(query, chunk)
    return found
