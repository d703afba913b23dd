"""A question with its wordings and versions, and what another version would take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from conversations.api.answer_serializers import PartsSerializer
from conversations.api.context_serializers import NextSerializer
from conversations.api.message_serializers import MessageSerializer
from conversations.api.order_serializers import MODEL_ID_LIMIT_CHARACTERS, TOKENS_LIMIT
from conversations.models.feedback import WORDS_LIMIT_CHARACTERS, Verdict

TURN_ID = "01a1fde6-522f-70a6-a842-4213f626bc4e"
OTHER_TURN_ID = "01a1fde6-7c10-7d55-9c1e-0f1f6a5d1b3a"


class TurnSerializer(serializers.Serializer[Any]):
    """A question. Wordings are questions in its place, versions the answers to it."""

    turn_id = serializers.UUIDField()
    conversation_id = serializers.UUIDField()
    parent_turn_id = serializers.UUIDField(allow_null=True, help_text="The question before it.")
    text = serializers.CharField()
    created_at = serializers.DateTimeField()
    wordings = serializers.ListField(
        child=serializers.UUIDField(), help_text="turn_ids, oldest first; this one is among them."
    )
    chosen = serializers.UUIDField(
        allow_null=True, help_text="generation_id of the version that is shown and built upon."
    )
    versions = MessageSerializer(many=True, help_text="Oldest first.")


@extend_schema_serializer(
    examples=[
        OpenApiExample("One question", {"turn_ids": [TURN_ID], "head_turn_id": None}, response_only=True),
        OpenApiExample(
            "A wording with what followed it",
            {"turn_ids": [TURN_ID, OTHER_TURN_ID], "head_turn_id": "01a1fde5-0b7e-7b0c-8d0f-6f2f3a4b5c6d"},
            response_only=True,
        ),
    ]
)
class RemovedSerializer(serializers.Serializer[Any]):
    turn_ids = serializers.ListField(child=serializers.UUIDField(), help_text="That are gone.")
    head_turn_id = serializers.UUIDField(
        allow_null=True, help_text="The end of the branch shown instead; null: the branch is the same."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample("Good", {"verdict": "up"}),
        OpenApiExample("Bad, and why", {"verdict": "down", "words": "The second table is wrong."}),
    ]
)
class FeedbackSerializer(serializers.Serializer[Any]):
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    words = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=WORDS_LIMIT_CHARACTERS
    )


# --- Quotes -----------------------------------------------------------------------


class _QuoteFields(serializers.Serializer[Any]):
    model = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=MODEL_ID_LIMIT_CHARACTERS
    )
    max_output_tokens = serializers.IntegerField(
        required=False, allow_null=True, default=None, min_value=-TOKENS_LIMIT, max_value=TOKENS_LIMIT
    )
    history = serializers.BooleanField(
        required=False, default=True, help_text="False: without the earlier messages."
    )


@extend_schema_serializer(
    examples=[OpenApiExample("A question", {"text": "Which rivers flow through Basel?"}, request_only=True)]
)
class SendQuoteSerializer(_QuoteFields):
    text = serializers.CharField(allow_blank=True, trim_whitespace=False)


@extend_schema_serializer(
    examples=[
        OpenApiExample("Retry", {"version": "retry"}, request_only=True),
        OpenApiExample(
            "Regenerate with another model",
            {"version": "regenerate", "model": "openai:gpt-5", "max_output_tokens": 1024},
            request_only=True,
        ),
    ]
)
class VersionQuoteSerializer(_QuoteFields):
    version = serializers.ChoiceField(choices=["retry", "continue", "regenerate"])


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "What it would take",
            {
                "model": "demo:friendly",
                "input_tokens": 412,
                "max_output_tokens": 4096,
                "is_cut": False,
                "cost_usd": "0.00168",
                "dropped_turns": 0,
                "leaves": {"amount": "45492", "unit": "tokens", "period": "day", "scope": "user"},
                "confirm": False,
                "refusal": None,
                "breakdown": {
                    "system": 0,
                    "questions": 61,
                    "answers": 333,
                    "summary": 0,
                    "tools": 0,
                    "message": 18,
                },
            },
            response_only=True,
        )
    ]
)
class QuoteSerializer(NextSerializer):
    """What would be held if it were asked now. No promise: nothing is held by asking."""

    model = serializers.CharField(help_text="That would answer.")
    breakdown = PartsSerializer(help_text="Of the input.")
