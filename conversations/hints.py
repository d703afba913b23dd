"""Hints between processes: nudges that may get lost, because what they say stands in the database.

Notices tell other processes that an answer began or ended; ``tell_worker`` asks a worker to look at one.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from celery import current_app
from kombu.exceptions import OperationalError

from conversations.live import LiveStream

logger = logging.getLogger(__name__)

RUN_GENERATION = "conversations.tasks.run_generation"
# The broker gives up on longer countdowns; the sweeper tells again when the time has come.
COUNTDOWN_LIMIT_SECONDS = 120.0


def started_notice(stream: LiveStream) -> dict[str, Any]:
    return {
        "type": "notice.started",
        "generation_id": str(stream.generation_id),
        "conversation_id": str(stream.conversation_id),
        "turn_id": str(stream.turn_id),
        "model": stream.model,
        "notes": stream.notes,
        "epoch": stream.epoch,
    }


def ended_notice(generation_id: uuid.UUID, conversation_id: uuid.UUID, turn_id: str) -> dict[str, Any]:
    return {
        "type": "notice.ended",
        "generation_id": str(generation_id),
        "conversation_id": str(conversation_id),
        "turn_id": turn_id,
        "model": "",
    }


def tell_worker(generation_id: uuid.UUID, *, delay_seconds: float = 0.0) -> bool:
    """Tell a worker that the generation is due after the delay. False when the broker cannot be reached."""
    try:
        current_app.send_task(
            RUN_GENERATION,
            args=[str(generation_id)],
            countdown=min(delay_seconds, COUNTDOWN_LIMIT_SECONDS),
            retry=False,
        )
    except (OperationalError, OSError) as error:
        logger.warning("broker unavailable, the sweeper will tell again: %s", type(error).__name__)
        return False
    return True
