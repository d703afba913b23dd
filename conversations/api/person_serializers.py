"""Preferences, and what a search finds."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from conversations.api.conversation_serializers import ConversationSummarySerializer
from conversations.api.order_serializers import MODEL_ID_LIMIT_CHARACTERS
from conversations.models import ContextPolicy
from conversations.search_words import QUERY_LIMIT_CHARACTERS

ZONE_LIMIT_CHARACTERS = 64
_WISHES = {
    "default_model": "gemini:gemini-2.5-flash",
    "context_policy": "auto",
    "titles": True,
    "timezone": "Europe/Zurich",
}


@extend_schema_serializer(examples=[OpenApiExample("Preferences", _WISHES, response_only=True)])
class PreferencesSerializer(serializers.Serializer[Any]):
    default_model = serializers.CharField(allow_blank=True, help_text="Empty: the site's.")
    context_policy = serializers.ChoiceField(
        choices=ContextPolicy.choices, allow_blank=True, help_text="Of new conversations. Empty: the site's."
    )
    titles = serializers.BooleanField(help_text="A model names your conversations; you pay for its call.")
    timezone = serializers.CharField(help_text="In which your days begin, as `Europe/Zurich`.")


@extend_schema_serializer(examples=[OpenApiExample("No titles", {"titles": False}, request_only=True)])
class PreferencesChangeSerializer(serializers.Serializer[Any]):
    default_model = serializers.CharField(
        required=False, allow_blank=True, max_length=MODEL_ID_LIMIT_CHARACTERS
    )
    context_policy = serializers.ChoiceField(choices=ContextPolicy.choices, required=False, allow_blank=True)
    titles = serializers.BooleanField(required=False)
    timezone = serializers.CharField(required=False, max_length=ZONE_LIMIT_CHARACTERS)


class SearchQuery(serializers.Serializer[Any]):
    q = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=QUERY_LIMIT_CHARACTERS,
        help_text="The words, in any order.",
    )


class FoundSerializer(serializers.Serializer[Any]):
    conversation = ConversationSummarySerializer()
    snippet = serializers.CharField(
        allow_blank=True, help_text="The place; empty: the title holds the words."
    )
    turn_id = serializers.UUIDField(allow_null=True, help_text="The question of that place.")


class FoundListSerializer(serializers.Serializer[Any]):
    results = FoundSerializer(many=True)
