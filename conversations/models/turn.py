"""Turn: one question and the versions of its answer."""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from conversations.models.ids import new_id
from conversations.models.states import ContextMark


class TurnKind(models.TextChoices):
    """What a question is about, for the reports; ``conversations.kinds`` decides."""

    CODE = "code", "code"
    EXPLANATION = "explanation", "explanation"
    FOLLOW_UP = "follow_up", "follow-up"
    OTHER = "other", "other"


class Turn(models.Model):
    """A question. It has no state of its own: the state is that of its generations."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    conversation = models.ForeignKey(
        "conversations.Conversation", on_delete=models.CASCADE, related_name="turns"
    )
    # Minted by the client, so that a frame sent twice is one turn.
    turn_id = models.UUIDField()
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.CASCADE, related_name="children"
    )
    depth = models.PositiveIntegerField(default=0, help_text="Number of turns before it on its branch.")
    text = models.TextField()
    kind = models.CharField(max_length=12, choices=TurnKind.choices, default=TurnKind.OTHER)
    # The version of the answer that is shown and that later questions build on.
    chosen = models.ForeignKey(
        "conversations.Generation", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    # Of the question; the answer's stands in its generation.
    context_mark = models.CharField(
        max_length=8, choices=ContextMark.choices, blank=True, default="", db_default=""
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["conversation", "turn_id"], name="turn_id_once_per_conversation"),
        )

    def __str__(self) -> str:
        return f"Turn {self.turn_id}"
