"""Verbs on the tree of a conversation: show another version of an answer, another wording of a question.

A version of an answer is a generation that no other one continues. Wordings of a question are turns with
the same parent.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, QuerySet

from conversations.exceptions import Conflict, NotFound
from conversations.models import Conversation, Generation, Turn

K = TypeVar("K")
V = TypeVar("V")

BUSY = "An answer is being written here. Stop it or wait for its end, then switch."


def versions_of(turns: Sequence[Turn]) -> dict[uuid.UUID, list[uuid.UUID]]:
    """The versions of each turn's answer, oldest first, by the turn's row id; one query."""
    return _gathered(
        _versions(turn.pk for turn in turns).order_by("created_at", "pk").values_list("turn_id", "pk")
    )


def version_counts(turn_row_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How many versions each turn's answer has, by the turn's row id; one query."""
    counted = _versions(turn_row_ids).values("turn").annotate(count=Count("pk"))
    return dict(counted.values_list("turn", "count"))


def _versions(turn_row_ids: Iterable[uuid.UUID]) -> QuerySet[Generation]:
    """What is continued is a part of a version, and none itself."""
    continued = Generation.objects.filter(continues=OuterRef("pk"))
    return Generation.objects.filter(turn__in=list(turn_row_ids)).exclude(Exists(continued))


def siblings_of(turns: Sequence[Turn]) -> dict[uuid.UUID, list[uuid.UUID]]:
    """The client's turn ids of all wordings of each question, oldest first, by the turn's row id."""
    if not turns:
        return {}
    depths = {turn.depth for turn in turns}
    rows = list(
        Turn.objects.filter(conversation_id=turns[0].conversation_id, depth__in=depths)
        .order_by("created_at", "pk")
        .values_list("parent_id", "turn_id")
    )
    by_parent: dict[uuid.UUID | None, list[uuid.UUID]] = _gathered(rows)
    return {turn.pk: by_parent.get(turn.parent_id, []) for turn in turns}


def _gathered(rows: Iterable[tuple[K, V]]) -> dict[K, list[V]]:
    found: dict[K, list[V]] = defaultdict(list)
    for key, value in rows:
        found[key].append(value)
    return found


def choose_version(*, user_id: int, conversation_id: uuid.UUID, generation_id: uuid.UUID) -> Turn:
    """Show this version of an answer, and let later questions build on it. Returns its turn.

    Raises NotFound, and Conflict while an answer is being written.
    """
    with transaction.atomic():
        conversation = _lock(conversation_id, user_id)
        turn = Turn.objects.filter(conversation=conversation, generations=generation_id).first()
        if turn is None:
            raise NotFound("This answer")
        turn.chosen_id = generation_id
        turn.save(update_fields=["chosen"])
        conversation.revise()
    return turn


def choose_branch(*, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> Conversation:
    """Show the branch of this question, to its newest end. Raises NotFound, Conflict."""
    with transaction.atomic():
        conversation = _lock(conversation_id, user_id)
        turn = Turn.objects.filter(conversation=conversation, turn_id=turn_id).first()
        if turn is None:
            raise NotFound("This turn")
        conversation.head_turn_id = newest_leaf(turn)
        conversation.save(update_fields=["head_turn"])
    return conversation


def newest_leaf(turn: Turn) -> uuid.UUID:
    """The row id of the youngest turn without followers below ``turn``, or its own. One query."""
    below = Turn.objects.filter(conversation_id=turn.conversation_id, depth__gt=turn.depth)
    inside, parents = {turn.pk: turn.created_at}, set()
    for pk, parent_id, created_at in below.order_by("depth").values_list("pk", "parent_id", "created_at"):
        if parent_id in inside:
            inside[pk] = created_at
            parents.add(parent_id)
    leaves = inside.keys() - parents
    return max(leaves, key=lambda pk: (inside[pk], pk))


def _lock(conversation_id: uuid.UUID, user_id: int) -> Conversation:
    conversation = (
        Conversation.objects.select_for_update(of=("self",))
        .filter(pk=conversation_id, owner_id=user_id)
        .first()
    )
    if conversation is None:
        raise NotFound
    if Generation.objects.live().filter(conversation=conversation).exists():
        raise Conflict("conversation_busy", BUSY)
    return conversation
