"""Messages, and pages of them, as programs read them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from conversations.api.answer_serializers import (
    ANSWER_STATES,
    AnswerErrorSerializer,
    NoteSerializer,
    ReceiptSerializer,
)

TURNS_PER_PAGE = 20
TURNS_PER_PAGE_LIMIT = 100


class MessageSerializer(serializers.Serializer[Any]):
    """A question (`user`) or an answer (`assistant`). The members after `created_at` belong to answers."""

    role = serializers.ChoiceField(choices=["user", "assistant"])
    turn_id = serializers.UUIDField()
    text = serializers.CharField(help_text="Markdown. Of a continued answer: the whole.")
    created_at = serializers.DateTimeField()
    html = serializers.CharField(allow_null=True, help_text="Sanitised; only with `?html=true`.")
    generation_id = serializers.UUIDField(allow_null=True)
    continues = serializers.UUIDField(allow_null=True, help_text="The generation that this one continues.")
    state = serializers.ChoiceField(choices=ANSWER_STATES, allow_null=True)
    model = serializers.CharField(allow_null=True)
    seq = serializers.IntegerField(allow_null=True)
    finish_reason = serializers.CharField(allow_null=True)
    versions = serializers.IntegerField(allow_null=True, help_text="Number of versions of this answer.")
    receipt = ReceiptSerializer(allow_null=True)
    notes = NoteSerializer(many=True, help_text="What one should know about how the answer came about.")
    error = AnswerErrorSerializer(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class HistorySerializer(serializers.Serializer[Any]):
    results = MessageSerializer(many=True)
    next = serializers.URLField(allow_null=True, help_text="Where older messages are found.")


class HistoryQuery(serializers.Serializer[Any]):
    limit = serializers.IntegerField(
        required=False,
        default=TURNS_PER_PAGE,
        min_value=1,
        help_text=f"Turns to return, newest first choice; at most {TURNS_PER_PAGE_LIMIT}.",
    )
    before = serializers.UUIDField(
        required=False, default=None, help_text="Only turns before the one with this turn_id."
    )
    html = serializers.BooleanField(required=False, default=False, help_text="With sanitised HTML.")

    def validate_limit(self, limit: int) -> int:
        return min(limit, TURNS_PER_PAGE_LIMIT)


class AnswerQuery(serializers.Serializer[Any]):
    html = serializers.BooleanField(required=False, default=False, help_text="With sanitised HTML.")
