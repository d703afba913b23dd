"""What asks for an answer: a question, another version of an answer, a question in other words."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

MODEL_ID_LIMIT_CHARACTERS = 200
TEMPERATURE_LIMIT = 1_000.0  # the model's own limit is checked by the verb
TOKENS_LIMIT = 2_000_000_000


class _LimitFields(serializers.Serializer[Any]):
    max_output_tokens = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=-TOKENS_LIMIT, max_value=TOKENS_LIMIT
    )
    history = serializers.BooleanField(
        required=False, default=True, help_text="False: without the earlier messages."
    )
    confirm = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Of a page: send even if a hard budget comes near its end. A key is never asked.",
    )


class _OrderFields(_LimitFields):
    model = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=MODEL_ID_LIMIT_CHARACTERS,
        help_text="Left out: the conversation's model.",
    )
    temperature = serializers.FloatField(
        required=False,
        allow_null=True,
        default=None,
        min_value=-TEMPERATURE_LIMIT,
        max_value=TEMPERATURE_LIMIT,
    )


class SendSerializer(_OrderFields):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False)
    turn_id = serializers.UUIDField(
        required=False, help_text="Minted by the client. The same id again returns the same answer."
    )


class VersionSerializer(_LimitFields):
    generation_id = serializers.UUIDField(
        required=False, help_text="Minted by the client. The same id again returns the same answer."
    )


class SwitchSerializer(serializers.Serializer[Any]):
    model = serializers.CharField(max_length=MODEL_ID_LIMIT_CHARACTERS, help_text="Model id.")
    confirm = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Of a page: send even if a hard budget comes near its end. A key is never asked.",
    )


class RegenerateSerializer(VersionSerializer, _OrderFields):
    pass


class EditSerializer(_OrderFields):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False)
    new_turn_id = serializers.UUIDField(
        required=False, help_text="Minted by the client. The same id again returns the same answer."
    )
