"""What one socket is sent of the live streams: each from where its client goes on, at the client's speed."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable

from conversations.live import Attachment, LiveStream

# A client that reconnects says from where it goes on; one that says nothing gets everything.
RESUME_GRACE_SECONDS = 1.0
ENDED_MEMORY = 64


class Feed:
    """The live streams that a socket shows. ``send`` takes one frame as text."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self.attachments: dict[uuid.UUID, Attachment] = {}
        self._send = send
        self._is_due = False
        self._sleep: asyncio.Future[None] | None = None
        self._ended: deque[uuid.UUID] = deque(maxlen=ENDED_MEMORY)

    def close(self) -> None:
        """Nothing refers to this socket any more."""
        for attachment in self.attachments.values():
            attachment.stream.watchers.discard(self.wake)

    def wake(self) -> None:
        """Something may be due. It runs for every token, so it is less than an ``asyncio.Event`` does."""
        self._is_due = True
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    def has_ended(self, generation_id: uuid.UUID) -> bool:
        """Whether its end was sent here: what is said of it later is old news."""
        return generation_id in self._ended

    def tells(self, generation_id: uuid.UUID) -> bool:
        """Whether the client hears of its end here, or has heard of it."""
        return generation_id in self.attachments or self.has_ended(generation_id)

    def attach(self, stream: LiveStream, *, held: bool = False) -> Attachment:
        """Show the stream; ``held``: its words wait for a moment until the client says where it goes on."""
        attachment = self.attachments.get(stream.generation_id)
        if attachment is None or attachment.stream is not stream:
            attachment = self.attachments[stream.generation_id] = Attachment(stream, held=held)
            stream.watchers.add(self.wake)
            if held:
                asyncio.get_running_loop().call_later(RESUME_GRACE_SECONDS, self._release, attachment)
        self.wake()
        return attachment

    def resume(self, attachment: Attachment, after_seq: int, epoch: int | None) -> None:
        attachment.resume(after_seq, epoch)
        self.wake()

    def _release(self, attachment: Attachment) -> None:
        if attachment.held:
            attachment.held = False
            self.wake()

    async def run(self) -> None:
        """Send what is due; what is not sent yet stays in the stream."""
        while True:
            if not self._is_due:
                self._sleep = asyncio.get_running_loop().create_future()
                await self._sleep
            self._is_due = False
            for generation_id, attachment in tuple(self.attachments.items()):
                for frame in attachment.pending():
                    await self._send(frame)
                if attachment.is_over and self.attachments.get(generation_id) is attachment:
                    attachment.stream.watchers.discard(self.wake)
                    del self.attachments[generation_id]
                    self._ended.append(generation_id)
