"""Conversation: an ordered tree of turns that belongs to one person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from conversations.models.ids import new_id
from conversations.models.states import LIVE_STATES, ContextPolicy

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from conversations.models.turn import Turn

TITLE_LIMIT_CHARACTERS = 200
TITLE_WORDS_CHARACTERS = 60
# A page makes a conversation when its first letter is typed; most that stay empty were never meant.
EMPTY_LIFE = timedelta(days=1)


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def owned_by(self, user: User) -> Self:
        return self.filter(owner=user)

    def listed(self) -> Self:
        """What the rail shows: newest first, without temporary and archived ones."""
        return self.filter(temporary=False, archived_at=None).order_by("-updated_at")

    def forgotten(self, now: datetime) -> Self:
        """Temporary ones that nobody touched for a while, and those in which nothing was ever asked."""
        life = timedelta(seconds=settings.TEMPORARY_CHAT_SECONDS)
        expired = Q(temporary=True, updated_at__lte=now - life)
        empty = Q(head_turn=None, turns=None, updated_at__lte=now - EMPTY_LIFE)
        return self.filter(expired | empty).exclude(generations__state__in=LIVE_STATES)

    def delete_limited(self, limit: int) -> int:
        """Delete at most ``limit`` of them; returns how many conversations went."""
        ids = list(self.values_list("pk", flat=True).distinct()[:limit])
        if ids:
            self.model.objects.filter(pk__in=ids).delete()
        return len(ids)


class Conversation(models.Model):
    class TitleSource(models.TextChoices):
        NONE = "", "none yet"
        FIRST_WORDS = "first_words", "first words of the first question"
        GENERATED = "generated", "generated"
        PERSON = "person", "given by the owner"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="conversations"
    )
    title = models.CharField(max_length=TITLE_LIMIT_CHARACTERS, blank=True)
    title_source = models.CharField(max_length=16, choices=TitleSource.choices, blank=True)
    system_prompt = models.TextField(blank=True)
    model = models.CharField(max_length=200, blank=True, help_text="Model id of the last send.")
    context_policy = models.CharField(
        max_length=20, choices=ContextPolicy.choices, blank=True, help_text="Empty: the owner's default."
    )
    temporary = models.BooleanField(default=False)
    pinned_at = models.DateTimeField(null=True, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    # The turn at the end of the branch that is shown.
    head_turn = models.ForeignKey(
        "conversations.Turn", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # Counts what a page cannot see by the last question and answer: a version chosen, a question deleted,
    # another title, pinned, archived.
    revision = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now)

    objects = ConversationQuerySet.as_manager()

    class Meta:
        indexes = (models.Index(fields=["owner", "-updated_at"], name="conversation_by_owner"),)

    def __str__(self) -> str:
        return self.title or f"Conversation {self.id}"

    def revise(self) -> None:
        """Something that is seldom changed is another now. The row is locked by the caller."""
        self.revision += 1
        self.save(update_fields=["revision"])

    def in_list(self) -> dict[str, Any]:
        """How it stands in the list of conversations, as JSON: ``title``, ``pinned``, ``listed``."""
        listed = not self.temporary and self.archived_at is None and self.head_turn_id is not None
        return {"title": self.title, "pinned": self.pinned_at is not None, "listed": listed}

    def path(self, *, last: int | None = None, head: Turn | None = None) -> list[Turn]:
        """The turns from the root to ``head`` (by default ``head_turn``), each with ``chosen`` loaded.

        At most the ``last`` ones. One query for the turns, whatever their number: branches are walked
        in memory.
        """
        end = head or self.head_turn
        if end is None:
            return []
        turns = self.turns.select_related("chosen").filter(depth__lte=end.depth)
        if last is not None:
            turns = turns.filter(depth__gt=end.depth - last)
        by_id = {turn.pk: turn for turn in turns}
        path: list[Turn] = []
        turn = by_id.get(end.pk)
        while turn is not None:
            path.append(turn)
            turn = by_id.get(turn.parent_id) if turn.parent_id else None
        path.reverse()
        return path


def first_title(text: str) -> tuple[str, str]:
    """The first words of a question as a title, and its source."""
    words = " ".join(text.split())
    if len(words) > TITLE_WORDS_CHARACTERS:
        words = words[:TITLE_WORDS_CHARACTERS].rsplit(" ", 1)[0] + "…"
    return words, Conversation.TitleSource.FIRST_WORDS
