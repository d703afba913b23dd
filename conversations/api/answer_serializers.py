"""What an answer says of itself: its receipt, what it took, what went wrong and what would help."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from conversations.models import State

ANSWER_STATES = [state.value for state in State]


class OptionSerializer(serializers.Serializer[Any]):
    """Something that would help, with what the action needs."""

    action = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # the metaclass takes it: no attribute is hidden
    model = serializers.CharField(required=False)
    cost_usd = serializers.CharField(required=False, help_text="The most it can cost.")
    max_output_tokens = serializers.IntegerField(required=False)
    run_at = serializers.DateTimeField(required=False, help_text="When it is sent.")
    resets_at = serializers.DateTimeField(required=False)
    budget_id = serializers.IntegerField(required=False, help_text="Of which more is asked for.")
    wanted = serializers.CharField(required=False, help_text="How much would do: tokens, or USD.")
    url = serializers.CharField(required=False, help_text="The page on which a person does it.")


class PartsSerializer(serializers.Serializer[Any]):
    """What the input consists of, in tokens; together they are all of it."""

    system = serializers.IntegerField(help_text="The system prompt.")
    questions = serializers.IntegerField(help_text="Your earlier messages.")
    answers = serializers.IntegerField(help_text="Earlier answers, and the beginning of a continued one.")
    summary = serializers.IntegerField(help_text="The summary of older messages.")
    tools = serializers.IntegerField()
    message = serializers.IntegerField(help_text="The message itself.")


class ReceiptSerializer(serializers.Serializer[Any]):
    """What an answer used. Counts are inclusive: cached within input, thinking within output."""

    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    thinking_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.CharField(allow_null=True, help_text="USD as a decimal; null = price unknown.")
    estimated = serializers.BooleanField(help_text="The provider did not report; our own count.")
    charged = serializers.BooleanField(help_text="False: the house bears it, or nothing was used.")
    rates = serializers.DictField(
        child=serializers.CharField(), allow_null=True, help_text="USD per million tokens, by kind."
    )
    price_version = serializers.IntegerField(allow_null=True)
    entry_id = serializers.UUIDField(allow_null=True, help_text="The ledger entry behind these figures.")
    breakdown = PartsSerializer(allow_null=True, help_text="Our shares of the input; null: nothing was used.")
    expected_rest_tokens = serializers.IntegerField(
        allow_null=True, help_text="Of an answer that was cut: how much more was probably to come."
    )
    first_token_ms = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    attempts = serializers.IntegerField(help_text="Calls of the provider that it took.")
    temperature = serializers.FloatField(allow_null=True, help_text="null: the model takes none.")
    model = serializers.CharField()
    model_label = serializers.CharField(help_text="As the picker calls it.")


class AnswerErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    options = OptionSerializer(many=True)


class NoteSerializer(serializers.Serializer[Any]):
    """`fallback`: another model answered (with `asked_model`, `model`, `reason`); `cached`: an earlier
    answer (with `since`); `trimmed`, `think_less`: what was changed so that it could be answered."""

    code = serializers.CharField()
    detail = serializers.CharField()
    asked_model = serializers.CharField(required=False)
    model = serializers.CharField(required=False)
    reason = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False)
