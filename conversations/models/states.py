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
    FALLBACK = "fallback", "another model takes over"
    CHOICE = "choice", "the person chooses"
    SCHEDULED = "scheduled", "the person chose to wait"
    OUTAGE = "outage", "until the service recovers"


class Remedy(models.TextChoices):
    """What was changed so that an attempt may succeed where one like it could not; once per answer."""

    NONE = "", "none"
    TRIMMED = "trimmed", "older parts left out"
    THINK_LESS = "think_less", "less thinking"
    REPEATED = "repeated", "sent again as it was"


LIVE_STATES = (State.QUEUED, State.RUNNING, State.STREAMING, State.WAITING)
CLAIMED_STATES = (State.RUNNING, State.STREAMING)
TERMINAL_STATES = (State.COMPLETED, State.STOPPED, State.INTERRUPTED, State.FAILED)


class ContextPolicy(models.TextChoices):
    """How much of a conversation goes with the next question; never more than the model's window."""

    AUTO = "auto", "As much as fits"
    LAST_10_MESSAGES = "last_10_messages", "The last 10 messages"
    LAST_2000_TOKENS = "last_2000_tokens", "The last 2,000 tokens"


class ContextMark(models.TextChoices):
    """What a person has decided about one message."""

    NONE = "", "by the policy"
    PINNED = "pinned", "always sent"
    EXCLUDED = "excluded", "never sent"
