"""The states of a generation."""

from __future__ import annotations

from django.db import models


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    STREAMING = "streaming"
    WAITING = "waiting"
    COMPLETED = "completed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class WaitingReason(models.TextChoices):
    NONE = "", "not waiting"
    RATE_LIMIT = "rate_limit"
    CAPACITY = "capacity"
    RETRY = "retry"
    RECOVERY = "recovery"


LIVE_STATES = (State.QUEUED, State.RUNNING, State.STREAMING, State.WAITING)
CLAIMED_STATES = (State.RUNNING, State.STREAMING)
TERMINAL_STATES = (State.COMPLETED, State.STOPPED, State.INTERRUPTED, State.FAILED)
