"""Verbs on feedback: say what one thinks of an answer, and take it back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.db import transaction

from conversations.exceptions import Conflict, Invalid, NotFound
from conversations.models import Feedback, Generation
from conversations.models.feedback import WORDS_LIMIT_CHARACTERS, Verdict


def give_feedback(
    *, user_id: int, conversation_id: uuid.UUID, generation_id: uuid.UUID, verdict: str, words: str = ""
) -> Feedback:
    """Judge an answer of one's own conversation; the last word counts.

    Raises NotFound, Invalid (``bad_verdict``, ``words_too_long``), Conflict while it is being written.
    """
    if verdict not in Verdict.values:
        raise Invalid("bad_verdict", "An answer is good or bad: up or down.")
    words = words.strip()
    if len(words) > WORDS_LIMIT_CHARACTERS:
        over = len(words) - WORDS_LIMIT_CHARACTERS
        raise Invalid("words_too_long", f"These words are {over:,} characters too many.")
    with transaction.atomic():
        generation = _own(user_id, conversation_id, generation_id)
        if generation.is_live:
            raise Conflict("conversation_busy", "The answer is still being written.")
        given, _ = Feedback.objects.update_or_create(
            user_id=user_id,
            generation=generation,
            defaults={"verdict": verdict, "words": words, "model": generation.model},
        )
    return given


def withdraw_feedback(*, user_id: int, conversation_id: uuid.UUID, generation_id: uuid.UUID) -> None:
    """Raises NotFound for an answer that is not one's own; without feedback nothing happens."""
    generation = _own(user_id, conversation_id, generation_id)
    Feedback.objects.filter(user_id=user_id, generation=generation).delete()


def verdicts_on(generation_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """``up`` or ``down`` by the generation's id; an answer has one owner, and so one verdict."""
    found = Feedback.objects.filter(generation__in=list(generation_ids))
    return dict(found.values_list("generation_id", "verdict"))


def _own(user_id: int, conversation_id: uuid.UUID, generation_id: uuid.UUID) -> Generation:
    generation = (
        Generation.objects.only("id", "model", "state")
        .filter(pk=generation_id, conversation_id=conversation_id, conversation__owner_id=user_id)
        .first()
    )
    if generation is None:
        raise NotFound("This answer")
    return generation
