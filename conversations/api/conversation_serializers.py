"""Conversations and what goes on in them, as programs read and write them: declared fields only."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from conversations.api.answer_serializers import ANSWER_STATES, OptionSerializer
from conversations.api.order_serializers import MODEL_ID_LIMIT_CHARACTERS
from conversations.models import Conversation, WaitingReason
from conversations.models.conversation import TITLE_LIMIT_CHARACTERS

SYSTEM_PROMPT_LIMIT_CHARACTERS = 20_000


class ConversationSummarySerializer(serializers.ModelSerializer[Conversation]):
    pinned = serializers.SerializerMethodField(help_text="Kept at the top of lists.")
    archived = serializers.SerializerMethodField(help_text="Left out of the usual list.")

    class Meta:
        model = Conversation
        fields: tuple[str, ...] = (
            "id",
            "title",
            "model",
            "temporary",
            "pinned",
            "archived",
            "created_at",
            "updated_at",
        )
        read_only_fields: tuple[str, ...] = fields

    def get_pinned(self, conversation: Conversation) -> bool:
        return conversation.pinned_at is not None

    def get_archived(self, conversation: Conversation) -> bool:
        return conversation.archived_at is not None


class ConversationSerializer(ConversationSummarySerializer):
    class Meta(ConversationSummarySerializer.Meta):
        fields = (*ConversationSummarySerializer.Meta.fields, "system_prompt")
        read_only_fields = fields


class _ConversationFields(serializers.Serializer[Any]):
    title = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=TITLE_LIMIT_CHARACTERS,
        help_text="Left out or empty: the first words of the first question.",
    )
    model = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=MODEL_ID_LIMIT_CHARACTERS,
        help_text="Model id of the next send, `provider:name`. Empty: the default.",
    )
    system_prompt = serializers.CharField(
        required=False,
        allow_blank=True,
        trim_whitespace=False,
        max_length=SYSTEM_PROMPT_LIMIT_CHARACTERS,
        help_text="Sent before every question of this conversation.",
    )


class ConversationCreateSerializer(_ConversationFields):
    temporary = serializers.BooleanField(
        required=False, default=False, help_text="Not listed, and deleted after a while without use."
    )


class ConversationChangeSerializer(_ConversationFields):
    pinned = serializers.BooleanField(required=False)
    archived = serializers.BooleanField(required=False)


class ConversationListQuery(serializers.Serializer[Any]):
    archived = serializers.BooleanField(
        required=False, default=False, help_text="List the archived ones instead of the others."
    )


class ExportQuery(serializers.Serializer[Any]):
    format = serializers.ChoiceField(choices=["json", "markdown", "html"], default="json")


class StatusSerializer(serializers.Serializer[Any]):
    """What goes on in a conversation: its live answer, else the last one."""

    conversation_id = serializers.UUIDField()
    busy = serializers.BooleanField(help_text="An answer is being written or waits; a send would be refused.")
    turn_id = serializers.UUIDField(allow_null=True)
    generation_id = serializers.UUIDField(allow_null=True)
    state = serializers.ChoiceField(choices=ANSWER_STATES, allow_null=True)
    model = serializers.CharField(allow_null=True)
    seq = serializers.IntegerField(allow_null=True, help_text="Number of deltas so far.")
    waiting_reason = serializers.ChoiceField(
        choices=[reason.value for reason in WaitingReason if reason.value], allow_null=True
    )
    retry_at = serializers.DateTimeField(allow_null=True)
    waiting_detail = serializers.CharField(allow_null=True, help_text="A sentence for a person.")
    options = OptionSerializer(many=True, allow_null=True, help_text="What can be done while it waits.")
    attempt = serializers.IntegerField(allow_null=True)
    max_attempts = serializers.IntegerField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
