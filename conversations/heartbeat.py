"""The heartbeat of the answers that this process writes: texts, leases, stop requests.

One for all of them: a few transactions a second, however many answers there are.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Sequence

from django.conf import settings
from django.db import InterfaceError, OperationalError

from conversations import claims
from conversations.attempts import Beat
from conversations.database import in_database
from conversations.running import Attempt

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
# Texts stored in one transaction: small enough that a new question never waits long behind it.
BEAT_CHUNK = 20


class Heartbeat:
    """Stores the texts of ``attempts``, renews their leases, cancels what is stopped or lost."""

    def __init__(self, attempts: dict[uuid.UUID, Attempt]) -> None:
        self._attempts = attempts
        self._renewed_at = time.monotonic()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            await self._beat()

    async def _beat(self) -> None:
        now = time.monotonic()
        renew = now - self._renewed_at >= settings.LEASE_SECONDS / 3
        running = [
            attempt
            for attempt in self._attempts.values()
            if not attempt.deaf
            and (renew or attempt.stream.seq > attempt.beaten_seq or not attempt.stream.seq)
        ]
        if not running:
            return
        stored = True
        for begin in range(0, len(running), BEAT_CHUNK):
            stored &= await _store(running[begin : begin + BEAT_CHUNK], renew=renew)
        if renew and stored:
            self._renewed_at = now


async def _store(chunk: Sequence[Attempt], *, renew: bool) -> bool:
    """Whether all of them could be stored."""
    beats = [_beat_of(attempt) for attempt in chunk]
    try:
        answers = await in_database(claims.beat, beats, renew=renew)
    except Exception as error:
        away = isinstance(error, (InterfaceError, OperationalError))
        if len(chunk) > 1 and not away:
            # One text that cannot be stored must not cost the others their texts and leases.
            for attempt in chunk:
                await _store([attempt], renew=renew)
        else:
            logger.exception("a heartbeat failed; it is tried again")
        return False
    for attempt, sent in zip(chunk, beats, strict=True):
        _take_answer(attempt, sent, answers.get(sent.generation_id))
    return True


def _beat_of(attempt: Attempt) -> Beat:
    return Beat(
        generation_id=attempt.claim.generation_id,
        epoch=attempt.claim.epoch,
        hold_id=attempt.claim.hold_id,
        text=attempt.stream.text(),
        seq=attempt.stream.seq,
        # A delta is at least a token; the exact count is made at the end.
        output_tokens=min(attempt.stream.seq, attempt.claim.output_cap_tokens),
    )


def _take_answer(attempt: Attempt, sent: Beat, stop_requested: bool | None) -> None:
    if stop_requested is None:
        attempt.cancel("lost")
        return
    attempt.beaten_seq = max(attempt.beaten_seq, sent.seq)
    if stop_requested:
        attempt.cancel("stopped")
