"""Summary: what stands for the older messages of a branch when the next question is sent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from billing.literals import literals
from conversations.models.ids import new_id


class SummaryQuerySet(models.QuerySet["Summary"]):
    def live(self) -> Self:
        return self.filter(state__in=literals(Summary.LIVE_STATES))

    def lapsed(self, now: datetime) -> Self:
        """Live ones whose process let the lease run out."""
        return self.live().filter(lease_expires_at__lte=now)

    def change(self, summary_id: uuid.UUID, *, before: Sequence[str], **values: Any) -> bool:
        """Write ``values`` if the summary is in one of these states. Returns whether this caller won."""
        return bool(self.filter(pk=summary_id, state__in=before).update(**values))


class Summary(models.Model):
    """One call that condenses the turns from ``from_depth`` to ``until_depth`` of one branch.

    ``digest`` names exactly the messages that were condensed: a branch on which one of them is another,
    or has been excluded since, does not use it.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        WAITING = "waiting"
        COMPLETED = "completed"
        STOPPED = "stopped"
        FAILED = "failed"

    LIVE_STATES = (State.QUEUED, State.RUNNING, State.WAITING)
    # Of these nobody is being asked: they can be stopped, and cost nothing, at any time.
    IDLE_STATES = (State.QUEUED, State.WAITING)

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.CASCADE, related_name="summaries"
    )
    from_depth = models.PositiveIntegerField()
    until_depth = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    before_tokens = models.PositiveIntegerField(help_text="Of the messages that it stands for, as sent.")
    model = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    hold_id = models.UUIDField(null=True, blank=True, help_text="Of the present attempt.")
    attempts = models.PositiveSmallIntegerField(default=1, db_default=1)
    retry_at = models.DateTimeField(null=True, blank=True, help_text="While it waits for the next attempt.")
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    input_estimate_tokens = models.PositiveIntegerField(default=0)
    output_cap_tokens = models.PositiveIntegerField(default=0)
    text = models.TextField(blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = SummaryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "summaries"
        constraints = (
            models.UniqueConstraint(
                fields=["conversation"],
                condition=Q(state__in=("queued", "running", "waiting")),
                name="one_live_summary_per_conversation",
            ),
            models.CheckConstraint(
                condition=Q(from_depth__lte=models.F("until_depth")), name="summary_covers_turns"
            ),
        )
        indexes = (
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(state__in=("queued", "running", "waiting")),
                name="summary_live",
            ),
        )

    def __str__(self) -> str:
        return f"Summary {self.id} ({self.state})"

    @property
    def is_live(self) -> bool:
        return self.state in self.LIVE_STATES
