"""Delete a question with its answers.

What followed moves up, so that the conversation goes on without it. A wording that has siblings goes with
the branch that began with it: what followed one wording is no wording of the question itself.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from conversations.branches import newest_leaf
from conversations.exceptions import Conflict, NotFound
from conversations.models import Conversation, Generation, Summary, Turn

BUSY = "An answer is being written here. Stop it or wait for its end, then delete."


@dataclass(frozen=True, slots=True)
class Removed:
    """``turn_ids`` as clients know them. ``head_turn_id``: the end of another branch that is shown now."""

    turn_ids: list[uuid.UUID]
    head_turn_id: uuid.UUID | None = None


def remove_turn(*, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> Removed:
    """The ledger keeps what it cost. Raises NotFound, and Conflict while an answer is being written."""
    with transaction.atomic():
        conversation = (
            Conversation.objects.select_for_update(of=("self",))
            .filter(pk=conversation_id, owner_id=user_id)
            .first()
        )
        if conversation is None:
            raise NotFound
        turn = Turn.objects.filter(conversation=conversation, turn_id=turn_id).first()
        if turn is None:
            raise NotFound("This question")
        if Generation.objects.live().filter(conversation=conversation).exists():
            raise Conflict("conversation_busy", BUSY)
        conversation.revise()
        # They tell of it, and none of them fits the branches any more.
        Summary.objects.filter(conversation=conversation, until_depth__gte=turn.depth).delete()
        siblings = Turn.objects.filter(conversation=conversation, parent_id=turn.parent_id).exclude(
            pk=turn.pk
        )
        sibling = siblings.order_by("-created_at", "-pk").first()
        if sibling is None:
            return _take_out(conversation, turn)
        return _cut_off(conversation, turn, sibling)


def _take_out(conversation: Conversation, turn: Turn) -> Removed:
    below = _below(turn)
    Turn.objects.filter(parent=turn).update(parent_id=turn.parent_id)
    Turn.objects.filter(pk__in=below).update(depth=F("depth") - 1)
    if conversation.head_turn_id == turn.pk:
        _set_head(conversation, turn.parent_id)
    turn.delete()
    return Removed([turn.turn_id])


def _cut_off(conversation: Conversation, turn: Turn, sibling: Turn) -> Removed:
    gone = [turn.pk, *_below(turn)]
    turn_ids = list(Turn.objects.filter(pk__in=gone).values_list("turn_id", flat=True))
    head_turn_id = None
    if conversation.head_turn_id in gone:
        head = newest_leaf(sibling)
        _set_head(conversation, head)
        head_turn_id = Turn.objects.values_list("turn_id", flat=True).get(pk=head)
    turn.delete()
    return Removed(turn_ids, head_turn_id)


def _below(turn: Turn) -> list[uuid.UUID]:
    """The row ids of all turns that lead back to this one. One query."""
    rows = Turn.objects.filter(conversation_id=turn.conversation_id, depth__gt=turn.depth)
    inside = {turn.pk}
    below: list[uuid.UUID] = []
    for pk, parent_id in rows.order_by("depth").values_list("pk", "parent_id"):
        if parent_id in inside:
            inside.add(pk)
            below.append(pk)
    return below


def _set_head(conversation: Conversation, head_id: uuid.UUID | None) -> None:
    conversation.head_turn_id = head_id
    conversation.updated_at = timezone.now()
    conversation.save(update_fields=["head_turn", "updated_at"])
