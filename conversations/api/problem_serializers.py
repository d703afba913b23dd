"""The one shape of all errors."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from conversations.api.answer_serializers import AnswerErrorSerializer, OptionSerializer
from conversations.api.message_serializers import MessageSerializer


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details. Members that do not apply are left out."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="A sentence for a person.")
    code = serializers.CharField(help_text="A word for a program; the list is in docs/api.md.")
    request_id = serializers.CharField()
    options = OptionSerializer(many=True, required=False, help_text="What would help.")
    resets_at = serializers.DateTimeField(required=False)
    retry_after = serializers.IntegerField(required=False, help_text="Seconds.")
    estimate = serializers.DictField(required=False, help_text="What the send would have taken.")
    errors = serializers.DictField(  # type: ignore[assignment]  # as above
        required=False, help_text="Faults by field."
    )
    error = AnswerErrorSerializer(required=False, help_text="Why the answer failed.")
    message = MessageSerializer(required=False, help_text="The answer as far as it came.")
