"""The context of a conversation and its summary, as programs see them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from conversations.api.answer_serializers import AnswerErrorSerializer, PartsSerializer, ReceiptSerializer
from conversations.api.order_serializers import MODEL_ID_LIMIT_CHARACTERS
from conversations.models import ContextMark, ContextPolicy, Summary

MARKS_LIMIT = 500
TEXT_LIMIT_CHARACTERS = 20_000


class ContextQuery(serializers.Serializer[Any]):
    text = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        trim_whitespace=False,
        max_length=TEXT_LIMIT_CHARACTERS,
        help_text="The next question.",
    )
    model = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=MODEL_ID_LIMIT_CHARACTERS
    )


class MarkSerializer(serializers.Serializer[Any]):
    turn_id = serializers.UUIDField()
    role = serializers.ChoiceField(choices=["user", "assistant"], help_text="The question, or its answer.")
    mark = serializers.ChoiceField(
        choices=ContextMark.choices, allow_blank=True, help_text="Blank: by the policy."
    )


class ContextChangeSerializer(serializers.Serializer[Any]):
    policy = serializers.ChoiceField(choices=ContextPolicy.choices, required=False)
    as_default = serializers.BooleanField(
        required=False, default=False, help_text="The policy of your other conversations too."
    )
    marks = MarkSerializer(many=True, required=False, default=list)

    def validate_marks(self, marks: list[Any]) -> list[Any]:
        if len(marks) > MARKS_LIMIT:
            raise serializers.ValidationError(f"At most {MARKS_LIMIT} at once.")
        return marks


class ContextMessageSerializer(MarkSerializer):
    excerpt = serializers.CharField(help_text="How it begins.")
    tokens = serializers.IntegerField(help_text="In full.")
    status = serializers.ChoiceField(choices=["in", "pinned", "summarised", "dropped", "excluded"])


class SummaryReceiptSerializer(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, Any]:
        left_out = (
            "breakdown",
            "expected_rest_tokens",
            "first_token_ms",
            "duration_ms",
            "attempts",
            "temperature",
            "model",
            "model_label",
        )
        fields = ReceiptSerializer().get_fields()
        return {name: field for name, field in fields.items() if name not in left_out}


class SummaryWaitSerializer(serializers.Serializer[Any]):
    detail = serializers.CharField()
    retry_at = serializers.DateTimeField()
    attempt = serializers.IntegerField(help_text="How many have failed.")
    max_attempts = serializers.IntegerField(help_text="How many times it is tried again.")


class SummarySerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=Summary.State.choices)
    turns = serializers.IntegerField(help_text="Questions that it stands for, with their answers.")
    model = serializers.CharField()
    before_tokens = serializers.IntegerField()
    after_tokens = serializers.IntegerField(help_text="At most, until it is completed.")
    text = serializers.CharField()
    error = AnswerErrorSerializer(allow_null=True)
    waiting = SummaryWaitSerializer(allow_null=True, help_text="For its next attempt, after a fault.")
    receipt = SummaryReceiptSerializer(allow_null=True)
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class SummaryOrderSerializer(serializers.Serializer[Any]):
    summary_id = serializers.UUIDField(
        required=False, allow_null=True, default=None, help_text="Minted by you: sending twice costs once."
    )
    model = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=MODEL_ID_LIMIT_CHARACTERS
    )


class LeavesSerializer(serializers.Serializer[Any]):
    amount = serializers.CharField(help_text="Tokens, or USD as a decimal.")
    unit = serializers.CharField()
    period = serializers.CharField()
    scope = serializers.CharField()


class NextRefusalSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    detail = serializers.CharField()
    resets_at = serializers.DateTimeField(allow_null=True)


class NextSerializer(serializers.Serializer[Any]):
    """What a send would hold now, as the ledger counts."""

    input_tokens = serializers.IntegerField()
    max_output_tokens = serializers.IntegerField()
    is_cut = serializers.BooleanField(help_text="The answer is shortened to fit a budget.")
    cost_usd = serializers.CharField(allow_null=True, help_text="At most; null: unknown, or refused.")
    dropped_turns = serializers.IntegerField()
    leaves = LeavesSerializer(allow_null=True, help_text="Of the tightest budget.")
    confirm = serializers.BooleanField()
    refusal = NextRefusalSerializer(allow_null=True)


class SavingSerializer(serializers.Serializer[Any]):
    """What summarising the older messages would come to."""

    messages = serializers.IntegerField(help_text="That the summary would stand for, beside the present one.")
    before_tokens = serializers.IntegerField(help_text="Input of the next question now.")
    after_tokens = serializers.IntegerField(help_text="At most, with the summary.")
    cost_usd = serializers.CharField(allow_null=True, help_text="Of the summary, at most.")
    call_tokens = serializers.IntegerField(help_text="Of the summary's call, at most.")
    fits = serializers.BooleanField(help_text="The budgets admit the call.")
    offered = serializers.BooleanField(help_text="So much is sent in full that it is worth while.")


class ContextSerializer(serializers.Serializer[Any]):
    policy = serializers.ChoiceField(choices=ContextPolicy.choices)
    default_policy = serializers.ChoiceField(choices=ContextPolicy.choices)
    model = serializers.CharField()
    window_tokens = serializers.IntegerField(help_text="Of the model.")
    budget_tokens = serializers.IntegerField(help_text="Up to which earlier messages are taken.")
    is_cut = serializers.BooleanField(help_text="Earlier messages are not sent because no more fits.")
    input_tokens = serializers.IntegerField(help_text="Of the whole request, as counted here.")
    breakdown = PartsSerializer()
    input_usd_per_million = serializers.CharField(allow_null=True)
    messages = ContextMessageSerializer(many=True, help_text="Oldest first.")
    older_turns = serializers.IntegerField(help_text="Before those, not sent.")
    next = NextSerializer()
    summary = SummarySerializer(allow_null=True, help_text="The one that is sent.")
    running = SummarySerializer(allow_null=True, help_text="The one that is being made.")
    saving = SavingSerializer(allow_null=True)
