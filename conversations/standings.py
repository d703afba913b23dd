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
class Standing:
    """Another one after every question, every end, and every change that is seldom made (``revision``).

    ``head_turn_id``, as clients know it, is the last question of the branch that is shown; ``live_id`` the
    answer that is being written, or waits.
    """

    updated_at: datetime
    head_turn_id: uuid.UUID | None
    live_id: uuid.UUID | None
    revision: int


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
        .values_list("pk", "updated_at", "head_turn__turn_id", "live__pk", "revision")
    )
    return {pk: Standing(*standing) for pk, *standing in rows}


def begun_last(conversation_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Begun]:
    """The newest answer of each, in whatever branch; those without one are left out. One query."""
    own = Generation.objects.filter(conversation=OuterRef("pk")).order_by("-created_at", "-pk")
    last = Conversation.objects.filter(pk__in=conversation_ids).values_list(Subquery(own.values("pk")[:1]))
    rows = Generation.objects.filter(pk__in=last)
    found = rows.values_list("conversation_id", "pk", "turn__turn_id", "state")
    return {pk: Begun(begun_id, turn_id, state) for pk, begun_id, turn_id, state in found}
