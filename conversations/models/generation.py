"""Generation: one version of an answer, from the accepted question to its end.

States::

    queued -> running -> streaming -> completed | stopped | interrupted | failed
                 |  ^
                 v  |
               waiting            (rate limit, retry; between attempts only)

Every change is a conditional update that says who won. ``epoch`` counts the claims: a process whose
lease was taken over holds an old epoch, and all its later writes match no row.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from conversations.models.ids import new_id


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


class GenerationQuerySet(models.QuerySet["Generation"]):
    def live(self) -> Self:
        return self.filter(state__in=LIVE_STATES)

    def claimable(self, now: datetime) -> Self:
        """Queued, or waiting until ``now``, or claimed by a process that let its lease lapse before a token."""
        return self.filter(
            Q(state=State.QUEUED)
            | Q(state=State.WAITING, run_after__lte=now)
            | Q(state=State.RUNNING, lease_expires_at__lte=now)
        )

    def claim(self, generation_id: uuid.UUID, *, owner: str, lease_seconds: float, now: datetime) -> bool:
        """Take the generation for one attempt. Returns whether this caller won."""
        return bool(
            self.filter(pk=generation_id)
            .claimable(now)
            .update(
                state=State.RUNNING,
                waiting_reason=WaitingReason.NONE,
                run_after=None,
                owner=owner,
                epoch=F("epoch") + 1,
                attempts=F("attempts") + 1,
                lease_expires_at=now + timedelta(seconds=lease_seconds),
                text="",
                seq=0,
            )
        )

    def advance(self, generation_id: uuid.UUID, *, epoch: int, **values: Any) -> bool:
        """Write ``values`` if the epoch still holds the claim. False: another process owns it now."""
        return bool(self.filter(pk=generation_id, epoch=epoch, state__in=CLAIMED_STATES).update(**values))

    def lapsed_streams(self, now: datetime) -> Self:
        """Answers whose process died after the first visible token."""
        return self.filter(state=State.STREAMING, lease_expires_at__lte=now)


class Generation(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.CASCADE, related_name="generations"
    )
    turn = models.ForeignKey("conversations.Turn", on_delete=models.CASCADE, related_name="generations")
    continues = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="continuations"
    )

    model = models.CharField(max_length=200, help_text="Model id, provider:name.")
    temperature = models.FloatField(null=True, blank=True)
    wanted_output_tokens = models.PositiveIntegerField(help_text="Length asked for; the hold may have cut it.")

    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    waiting_reason = models.CharField(max_length=12, choices=WaitingReason.choices, blank=True)
    run_after = models.DateTimeField(null=True, blank=True)
    owner = models.CharField(max_length=80, blank=True, help_text="The process that holds the claim.")
    epoch = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # When a worker was last told; the sweeper tells again where no process took it.
    notified_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)

    # The hold of the current attempt, by its opaque id: the ledger outlives the conversation.
    hold_id = models.UUIDField(null=True, blank=True)

    text = models.TextField(blank=True)
    seq = models.PositiveIntegerField(default=0, help_text="Number of deltas in text.")
    html = models.TextField(blank=True)
    finish_reason = models.CharField(max_length=16, blank=True)
    error_code = models.CharField(max_length=40, blank=True)

    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    first_token_ms = models.PositiveIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)

    objects = GenerationQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(state__in=LIVE_STATES),
                name="one_live_generation_per_conversation",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[*LIVE_STATES, *TERMINAL_STATES]), name="generation_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state=State.WAITING) | Q(run_after__isnull=False), name="waiting_has_run_after"
            ),
        )
        indexes = (
            models.Index(
                fields=["state", "run_after", "lease_expires_at"],
                condition=Q(state__in=LIVE_STATES),
                name="generation_due",
            ),
        )

    def __str__(self) -> str:
        return f"Generation {self.id} ({self.state})"

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES
