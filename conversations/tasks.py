"""Celery tasks: doors to the verbs. A task is a hint; what is due stands in the database."""

from __future__ import annotations

import uuid

from celery import shared_task

from conversations import call_hours, estimates, password_links, sweeper
from conversations.hints import RUN_GENERATION
from conversations.models.pulse import WORKER, Pulse
from conversations.worker_loop import run_in_worker


@shared_task(name=RUN_GENERATION)  # type: ignore[untyped-decorator]  # celery ships no types
def run_generation(generation_id: str) -> None:
    run_in_worker(uuid.UUID(generation_id))


@shared_task(name="conversations.tasks.sweep")  # type: ignore[untyped-decorator]  # celery ships no types
def sweep() -> None:
    sweeper.sweep_once()


@shared_task(name="conversations.tasks.learn_estimates")  # type: ignore[untyped-decorator]  # celery ships no types
def learn_estimates() -> None:
    estimates.learn_estimates()


@shared_task(name="conversations.tasks.roll_up_calls")  # type: ignore[untyped-decorator]  # celery ships no types
def roll_up_calls() -> None:
    call_hours.roll_up_calls()
    call_hours.prune_calls()


@shared_task(name="conversations.tasks.beat_pulse")  # type: ignore[untyped-decorator]  # celery ships no types
def beat_pulse() -> None:
    """Comes through the queue of the answers: silence means that retries wait."""
    Pulse.beat(WORKER)


@shared_task(name=password_links.SEND_LINKS)  # type: ignore[untyped-decorator]  # celery ships no types
def send_password_links(address: str, base: str) -> None:
    password_links.send_links(address, base)
