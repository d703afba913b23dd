"""The rail: a person's conversations by date, and the archived ones."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from conversations.models import Conversation, Generation

RAIL_LIMIT = 200


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
    """A conversation that was found. ``snippet`` is the place in a text, "" where the title holds the words.

    ``turn_id`` the question that has it, or whose answer has it; ``hidden`` the version that has it, where
    another one is shown.
    """

    conversation: Conversation
    snippet: str
    query: str = ""
    turn_id: uuid.UUID | None = None
    hidden: uuid.UUID | None = None

    @property
    def url(self) -> str:
        """Of the very place, with what to mark there."""
        page = reverse("conversation", args=[self.conversation.pk])
        if self.turn_id is None:
            return page
        place = {"turn": str(self.turn_id), "find": self.query}
        if self.hidden is not None:
            place["answer"] = str(self.hidden)
        return f"{page}?{urlencode(place)}#turn-{self.turn_id}"

    def data(self) -> dict[str, Any]:
        return {
            "id": str(self.conversation.pk),
            "url": self.url,
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
    rows = searchable(user).exclude(archived_at=None).order_by("-archived_at")[:RAIL_LIMIT]
    return [Found(row, "") for row in rows]


def searchable(user: User) -> Any:
    return Conversation.objects.owned_by(user).filter(temporary=False).exclude(head_turn=None)
