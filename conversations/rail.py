"""The rail: a person's conversations by date, the archived ones, and search over titles and texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone

from conversations.models import Conversation, Generation, Turn

RAIL_LIMIT = 200
SEARCH_LIMIT = 50
QUERY_LIMIT_CHARACTERS = 200
SNIPPET_BEFORE_CHARACTERS = 24
SNIPPET_CHARACTERS = 110


@dataclass(frozen=True, slots=True)
class RailRow:
    """``group`` is the date's word, also of a pinned one: it goes there when it is unpinned."""

    conversation: Conversation
    group: str
    busy: bool  # an answer is being written there


@dataclass(frozen=True, slots=True)
class RailGroup:
    label: str
    rows: list[RailRow]


@dataclass(frozen=True, slots=True)
class Found:
    """A conversation that a search found; ``snippet`` is the place in a text, "" when the title matched."""

    conversation: Conversation
    snippet: str

    def data(self) -> dict[str, Any]:
        return {
            "id": str(self.conversation.pk),
            "url": reverse("conversation", args=[self.conversation.pk]),
            "title": self.conversation.title,
            "snippet": self.snippet,
            "archived": self.conversation.archived_at is not None,
            "pinned": self.conversation.pinned_at is not None,
            "updated": int(self.conversation.updated_at.timestamp()),
            "group": _date_word(self.conversation, timezone.localtime()),
        }


def rail(user: User, *, now: datetime | None = None) -> list[RailGroup]:
    """The person's conversations that hold a question, newest first, grouped by date; pinned ones first."""
    now = timezone.localtime(now)
    rows = (
        Conversation.objects.owned_by(user)
        .listed()
        .exclude(head_turn=None)
        .only("id", "title", "updated_at", "pinned_at")[:RAIL_LIMIT]
    )
    live = Generation.objects.live().filter(conversation__owner=user)
    busy = set(live.values_list("conversation_id", flat=True))
    groups: dict[str, list[RailRow]] = {}
    for row in rows:
        word = _date_word(row, now)
        label = "Pinned" if row.pinned_at is not None else word
        groups.setdefault(label, []).append(RailRow(row, word, row.pk in busy))
    ordered = sorted(groups.items(), key=lambda item: item[0] != "Pinned")
    return [RailGroup(label, found) for label, found in ordered]


def _date_word(conversation: Conversation, now: datetime) -> str:
    days = (now.date() - timezone.localtime(conversation.updated_at).date()).days
    if days <= 0:
        return "Today"
    if days == 1:
        return "Yesterday"
    if days <= 7:
        return "Previous 7 days"
    return timezone.localtime(conversation.updated_at).strftime("%B %Y")


def archived(user: User) -> list[Found]:
    """What was put away, the latest first."""
    rows = _searchable(user).exclude(archived_at=None).order_by("-archived_at")[:RAIL_LIMIT]
    return [Found(row, "") for row in rows]


def search(user: User, query: str) -> list[Found]:
    """The person's own conversations, archived ones too, whose title, questions or answers hold ``query``."""
    wanted = " ".join(query.replace("\x00", " ").split())[:QUERY_LIMIT_CHARACTERS]
    if not wanted:
        return []
    here = {"conversation": OuterRef("pk"), "text__icontains": wanted}
    rows = (
        _searchable(user)
        .annotate(
            question=Subquery(Turn.objects.filter(**here).values("text")[:1]),
            answer=Subquery(Generation.objects.filter(**here).values("text")[:1]),
        )
        .filter(
            Q(title__icontains=wanted) | Q(question__isnull=False) | Q(answer__isnull=False),
        )
        .order_by("-updated_at")[:SEARCH_LIMIT]
    )
    return [Found(row, _snippet(row, wanted)) for row in rows]


def _searchable(user: User) -> Any:
    return Conversation.objects.owned_by(user).filter(temporary=False).exclude(head_turn=None)


def _snippet(row: Any, wanted: str) -> str:
    if wanted.lower() in row.title.lower():
        return ""
    text = " ".join((row.question or row.answer or "").split())
    at = text.lower().find(wanted.lower())
    start = max(0, at - SNIPPET_BEFORE_CHARACTERS)
    cut = text[start : start + SNIPPET_CHARACTERS]
    return f"{'…' if start else ''}{cut}{'…' if start + SNIPPET_CHARACTERS < len(text) else ''}"
