"""Celery tasks: doors to the verbs. A task is a hint; what is due stands in the database."""

from __future__ import annotations

import logging
import uuid

from celery import shared_task
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

# The broker gives up on longer countdowns; the sweeper tells again when the time has come.
COUNTDOWN_LIMIT_SECONDS = 120.0


@shared_task(name="conversations.tasks.run_generation")  # type: ignore[untyped-decorator]  # celery ships no types
def run_generation(generation_id: str) -> None:
    from conversations.worker_loop import run_in_worker

    run_in_worker(uuid.UUID(generation_id))


@shared_task(name="conversations.tasks.sweep")  # type: ignore[untyped-decorator]  # celery ships no types
def sweep() -> None:
    from conversations.sweeper import sweep_once

    sweep_once()


@shared_task(name="conversations.tasks.learn_estimates")  # type: ignore[untyped-decorator]  # celery ships no types
def learn_estimates() -> None:
    from conversations.estimates import learn_estimates as learn

    learn()


def notify(generation_id: uuid.UUID, *, delay_seconds: float = 0.0) -> bool:
    """Tell a worker that the generation is due after the delay. False when the broker cannot be reached."""
    try:
        run_generation.apply_async(
            args=[str(generation_id)],
            countdown=min(delay_seconds, COUNTDOWN_LIMIT_SECONDS),
            retry=False,
        )
    except (OperationalError, OSError) as error:
        logger.warning("broker unavailable, the sweeper will tell again: %s", type(error).__name__)
        return False
    return True
