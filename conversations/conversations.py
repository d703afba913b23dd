"""Verbs on conversations: create, change, clear, delete. One transaction each."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from conversations.exceptions import Conflict, Invalid, NotFound
from conversations.models import Conversation, Generation
from llm.errors import UnknownModel
from llm.profiles import get_profile

BUSY = "An answer is being written here. Stop it or wait for its end, then try again."


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become of a conversation; None leaves a thing as it is."""

    title: str | None = None
    model: str | None = None
    system_prompt: str | None = None
    pinned: bool | None = None
    archived: bool | None = None


def create_conversation(*, user_id: int, changes: Changes, temporary: bool = False) -> Conversation:
    """A new conversation. Raises Invalid for an unknown model."""
    conversation = Conversation(owner_id=user_id, temporary=temporary)
    _apply(conversation, changes)
    conversation.save(force_insert=True)
    return conversation


def change_conversation(*, user_id: int, conversation_id: uuid.UUID, changes: Changes) -> Conversation:
    """Raises NotFound, and Invalid for an unknown model."""
    with transaction.atomic():
        conversation = _lock(conversation_id, user_id)
        before = conversation.in_list()
        fields = _apply(conversation, changes)
        if fields:
            conversation.save(update_fields=fields)
        if conversation.in_list() != before:
            conversation.revise()
    return conversation


def clear_history(*, user_id: int, conversation_id: uuid.UUID) -> None:
    """Delete all turns and answers; the conversation, its settings and the ledger stay.

    Raises NotFound, and Conflict while an answer is being written.
    """
    with transaction.atomic():
        conversation = _lock(conversation_id, user_id)
        _refuse_if_busy(conversation)
        conversation.head_turn = None
        conversation.updated_at = timezone.now()
        conversation.save(update_fields=["head_turn", "updated_at"])
        conversation.turns.all().delete()


def delete_conversation(*, user_id: int, conversation_id: uuid.UUID) -> None:
    """Delete a conversation with all that is in it; the ledger stays. Raises NotFound, Conflict."""
    with transaction.atomic():
        conversation = _lock(conversation_id, user_id)
        _refuse_if_busy(conversation)
        conversation.delete()


def _lock(conversation_id: uuid.UUID, user_id: int) -> Conversation:
    conversation = (
        Conversation.objects.select_for_update(of=("self",))
        .filter(pk=conversation_id, owner_id=user_id)
        .first()
    )
    if conversation is None:
        raise NotFound
    return conversation


def _refuse_if_busy(conversation: Conversation) -> None:
    # An attempt that lost its row could not settle its hold any more.
    if Generation.objects.live().filter(conversation=conversation).exists():
        raise Conflict("conversation_busy", BUSY)


def _apply(conversation: Conversation, changes: Changes) -> list[str]:
    """Set the fields that change; returns their names."""
    fields: list[str] = []
    now = timezone.now()
    if changes.title is not None:
        conversation.title = changes.title
        # Without a title the next question gives one again.
        source = Conversation.TitleSource
        conversation.title_source = source.PERSON if changes.title else source.NONE
        fields += ["title", "title_source"]
    if changes.model is not None:
        _check_model(changes.model)
        conversation.model = changes.model
        fields.append("model")
    if changes.system_prompt is not None:
        conversation.system_prompt = changes.system_prompt
        fields.append("system_prompt")
    if changes.pinned is not None:
        conversation.pinned_at = (conversation.pinned_at or now) if changes.pinned else None
        fields.append("pinned_at")
    if changes.archived is not None:
        conversation.archived_at = (conversation.archived_at or now) if changes.archived else None
        fields.append("archived_at")
    return fields


def _check_model(model: str) -> None:
    if not model:
        return
    try:
        get_profile(model)
    except UnknownModel as error:
        raise Invalid("unknown_model", "There is no such model here. Pick one from the list.") from error
