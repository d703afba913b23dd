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
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from billing.literals import literals
from conversations.models.ids import new_id
from conversations.models.states import (
    CLAIMED_STATES,
    LIVE_STATES,
    TERMINAL_STATES,
    ContextMark,
    Remedy,
    State,
    WaitingReason,
)

# The process that queues a generation claims it at once: older queued ones have lost theirs.
QUEUE_GRACE = timedelta(seconds=5)
# A worker that was told and did not claim within this time is told again.
NOTICE_LIFE = timedelta(seconds=15)
# A continued answer often repeats its last words; shorter repeats are ordinary prose.
OVERLAP_LIMIT_CHARACTERS = 200
OVERLAP_MINIMUM_CHARACTERS = 8


class GenerationQuerySet(models.QuerySet["Generation"]):
    def live(self) -> Self:
        return self.filter(state__in=literals(LIVE_STATES))

    def of_turn(self, turn_id: uuid.UUID, *, conversation_id: uuid.UUID, user_id: int) -> Self:
        """The versions of the answer to a question of this person."""
        return self.filter(
            conversation_id=conversation_id,
            conversation__owner_id=user_id,
            conversation__owner__is_active=True,
            turn__turn_id=turn_id,
        )

    def claimable(self, now: datetime) -> Self:
        """Queued, or waiting until ``now``."""
        due = Q(state=State.WAITING, run_after__lte=now) & ~Q(waiting_reason=WaitingReason.CHOICE)
        return self.live().filter(Q(state=State.QUEUED) | due)

    def undecided(self, now: datetime) -> Self:
        """Those for which the person had to choose, and has not while there was something to choose."""
        waiting = self.live().filter(state=State.WAITING)
        return waiting.filter(waiting_reason=WaitingReason.CHOICE, run_after__lte=now)

    def due(self, now: datetime) -> Self:
        """Claimable ones that no process took when it was told, or that nobody was told of."""
        told_long_ago = Q(notified_at=None) | Q(notified_at__lte=now - NOTICE_LIFE)
        return self.claimable(now).filter(
            told_long_ago & (Q(state=State.WAITING) | Q(created_at__lte=now - QUEUE_GRACE))
        )

    def lapsed(self, now: datetime) -> Self:
        """Claimed by a process that let its lease run out: it died, or lost the database."""
        return self.live().filter(state__in=CLAIMED_STATES, lease_expires_at__lte=now)

    def claimed(self, since: datetime) -> Self:
        """Claimed by a process, with a lease that has not ended before ``since``."""
        return self.filter(state__in=CLAIMED_STATES, lease_expires_at__gt=since)

    def claim(self, generation_id: uuid.UUID, *, owner: str, lease_seconds: float, now: datetime) -> bool:
        """Take the generation for one attempt. Returns whether this caller won."""
        return bool(
            self.filter(pk=generation_id)
            .claimable(now)
            .update(
                state=State.RUNNING,
                waiting_reason=WaitingReason.NONE,
                run_after=None,
                place=None,
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
    asked_model = models.CharField(
        max_length=200, blank=True, help_text="The model that was asked for, where another one took over."
    )
    switch_reason = models.CharField(
        max_length=40, blank=True, help_text="Why: the code of an error, or 'person'."
    )
    # Of the whole built prompt, the model and the parameters, as they were when the question was sent.
    request_hash = models.CharField(max_length=64, blank=True)
    cached_at = models.DateTimeField(
        null=True, blank=True, help_text="Set: this is an earlier answer, from that time, shown again."
    )
    temperature = models.FloatField(null=True, blank=True)
    wanted_output_tokens = models.PositiveIntegerField(
        help_text="Length asked for; the hold may have cut it."
    )

    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    waiting_reason = models.CharField(max_length=12, choices=WaitingReason.choices, blank=True)
    run_after = models.DateTimeField(null=True, blank=True)
    owner = models.CharField(max_length=80, blank=True, help_text="The process that holds the claim.")
    epoch = models.PositiveIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    # Attempts and patience are counted anew when the person decides how it goes on.
    round_started_at = models.DateTimeField(null=True, blank=True, help_text="Empty: when it was created.")
    round_attempts = models.PositiveSmallIntegerField(default=0, help_text="Attempts before this round.")
    remedy = models.CharField(max_length=12, choices=Remedy.choices, blank=True)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    # When a worker was last told; the sweeper tells again where no process took it.
    notified_at = models.DateTimeField(null=True, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)

    # Of the wait for capacity: the place in the queue when it was last asked for.
    place = models.PositiveIntegerField(null=True, blank=True)
    # When that place should have its turn; it is asked for anew before, at run_after.
    turn_expected_at = models.DateTimeField(null=True, blank=True)
    # Waits of our own making; they do not count towards the patience with the provider.
    paced_seconds = models.FloatField(default=0.0, db_default=0.0)

    # Of the current attempt: what was held, and so the most that is sent.
    input_estimate_tokens = models.PositiveIntegerField(default=0)
    output_cap_tokens = models.PositiveIntegerField(default=0)
    # The hold of the current attempt, by its opaque id: the ledger outlives the conversation.
    hold_id = models.UUIDField(null=True, blank=True)

    # What that input consisted of, as counted here; what is left of it is the question itself.
    system_tokens = models.PositiveIntegerField(default=0, db_default=0)
    questions_tokens = models.PositiveIntegerField(default=0, db_default=0)
    answers_tokens = models.PositiveIntegerField(default=0, db_default=0)
    summary_tokens = models.PositiveIntegerField(default=0, db_default=0)
    tools_tokens = models.PositiveIntegerField(default=0, db_default=0)
    context_mark = models.CharField(
        max_length=8, choices=ContextMark.choices, blank=True, default="", db_default=""
    )

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
            models.Index(
                fields=["request_hash"], condition=~Q(request_hash=""), name="generation_by_request"
            ),
        )

    def __str__(self) -> str:
        return f"Generation {self.id} ({self.state})"

    @property
    def is_live(self) -> bool:
        return self.state in LIVE_STATES

    def is_due(self, now: datetime) -> bool:
        """Whether it waits for nothing any more."""
        waits_for_person = self.waiting_reason == WaitingReason.CHOICE
        due = self.run_after is not None and self.run_after <= now
        return self.state == State.WAITING and due and not waits_for_person

    @property
    def patient_since(self) -> datetime:
        return self.round_started_at or self.created_at

    @property
    def attempts_in_round(self) -> int:
        return self.attempts - self.round_attempts

    def parts(self) -> list[Generation]:
        """This version and what it continues, oldest first: together they are the answer."""
        parts = [self]
        while (earlier := parts[-1].continues) is not None:
            parts.append(earlier)
        parts.reverse()
        return parts

    def answer_text(self) -> str:
        """The whole answer, with everything that this version continues."""
        if self.continues_id is None:
            return self.text
        return join_parts([part.text for part in self.parts()])


def join_parts(texts: Sequence[str]) -> str:
    """Join an answer and its continuations; a repeated overlap at a seam is dropped."""
    joined = ""
    for text in texts:
        longest = min(OVERLAP_LIMIT_CHARACTERS, len(joined), len(text))
        overlap = next(
            (n for n in range(longest, OVERLAP_MINIMUM_CHARACTERS - 1, -1) if joined.endswith(text[:n])), 0
        )
        joined += text[overlap:]
    return joined
