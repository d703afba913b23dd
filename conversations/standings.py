"""Where conversations stand: their last question, and the answer that is being written or was begun last.

Read together for all conversations that a process shows.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db.models import FilteredRelation, OuterRef, Q, Subquery

from billing.literals import literals
from conversations.models import LIVE_STATES, Conversation, Generation


@dataclass(frozen=True, slots=True)
class Live:
    """The answer that is being written, or waits. The last four say what for, and tell two waits apart."""

    generation_id: uuid.UUID
    state: str
    epoch: int
    waiting_reason: str
    run_after: datetime | None
    place: int | None
    turn_expected_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """``head_turn_id`` as clients know it: the last question of the branch that is shown."""

    updated_at: datetime
    head_turn_id: uuid.UUID | None
    live: Live | None

    @property
    def mark(self) -> tuple[datetime, uuid.UUID | None, uuid.UUID | None]:
        """Another one after every question and every end."""
        return self.updated_at, self.head_turn_id, self.live.generation_id if self.live else None


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer, and the question that it belongs to as clients know it."""

    generation_id: uuid.UUID
    turn_id: uuid.UUID
    state: str


def standings(conversation_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Standing]:
    """By conversation; those that are gone are left out. One query."""
    live = FilteredRelation("generations", condition=Q(generations__state__in=literals(LIVE_STATES)))
    rows = (
        Conversation.objects.filter(pk__in=conversation_ids)
        .annotate(live=live)
        .values_list(
            "pk",
            "updated_at",
            "head_turn__turn_id",
            "live__pk",
            "live__state",
            "live__epoch",
            "live__waiting_reason",
            "live__run_after",
            "live__place",
            "live__turn_expected_at",
        )
    )
    return {pk: Standing(at, head, Live(*live) if live[0] else None) for pk, at, head, *live in rows}


def begun_last(conversation_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Begun]:
    """The newest answer of each, in whatever branch; those without one are left out. One query."""
    own = Generation.objects.filter(conversation=OuterRef("pk")).order_by("-created_at", "-pk")
    last = Conversation.objects.filter(pk__in=conversation_ids).values_list(Subquery(own.values("pk")[:1]))
    rows = Generation.objects.filter(pk__in=last)
    found = rows.values_list("conversation_id", "pk", "turn__turn_id", "state")
    return {pk: Begun(begun_id, turn_id, state) for pk, begun_id, turn_id, state in found}
