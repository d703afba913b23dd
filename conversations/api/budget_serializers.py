"""Budgets, limits of one's own, and requests for more, as programs read and write them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from billing.limit_requests import REASON_CHARACTERS
from billing.models import RequestState
from conversations.api.usage_serializers import ID_LIMIT

UNITS = ("tokens", "usd")
PERIODS = ("none", "day", "week", "month")
REQUESTS_PER_PAGE = 50
REQUESTS_PER_PAGE_LIMIT = 200
AMOUNT_LIMIT_CHARACTERS = 40


class BudgetsQuery(serializers.Serializer[Any]):
    user = serializers.IntegerField(
        required=False, min_value=0, max_value=ID_LIMIT, help_text="Needs the permission."
    )


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}]})
class AmountField(serializers.Field[Any, Any, Any, Any]):
    """Tokens, or US dollars as a decimal string."""

    default_error_messages = {"amount": "An amount is a whole number of tokens, or USD as a decimal string."}

    def to_representation(self, value: Any) -> Any:
        return value

    def to_internal_value(self, data: Any) -> str:
        if isinstance(data, bool) or not isinstance(data, (int, str)):
            self.fail("amount")
        text = str(data)
        if len(text) > AMOUNT_LIMIT_CHARACTERS or "\x00" in text:
            self.fail("amount")
        return text


class ForecastSerializer(serializers.Serializer[Any]):
    outlook = serializers.ChoiceField(("unlimited", "used_up", "unknown", "lasts", "runs_out"))
    empty_at = serializers.DateTimeField(allow_null=True, help_text="When it runs out at this pace.")
    percent = serializers.IntegerField(allow_null=True, help_text="Where it stands at its reset.")


class BudgetSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    scope = serializers.ChoiceField(("user", "own", "group", "everyone"))
    unit = serializers.ChoiceField(UNITS)
    period = serializers.ChoiceField(PERIODS)
    model = serializers.CharField(allow_null=True, help_text="Null: all models together.")
    hard = serializers.BooleanField(help_text="False: it only warns.")
    used = AmountField()
    held = AmountField(help_text="For answers in progress.")
    limit = AmountField()
    remaining = AmountField()
    percent = serializers.IntegerField()
    level = serializers.ChoiceField(("ok", "75", "90", "100"))
    resets_at = serializers.DateTimeField(allow_null=True)
    forecast = ForecastSerializer()


class BudgetListSerializer(serializers.Serializer[Any]):
    results = BudgetSerializer(many=True, help_text="The tightest first.")


@extend_schema_serializer(
    examples=[
        OpenApiExample("Tokens", {"unit": "tokens", "period": "day", "limit": 20000}, request_only=True),
        OpenApiExample("Money", {"unit": "usd", "period": "month", "limit": "5.00"}, request_only=True),
    ]
)
class OwnLimitSerializer(serializers.Serializer[Any]):
    unit = serializers.ChoiceField(UNITS)
    period = serializers.ChoiceField(PERIODS)
    limit = AmountField()


# --- Requests for more --------------------------------------------------------------


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "More tokens",
            {"budget_id": 7, "wanted": 80000, "reason": "The report is due on Friday."},
            request_only=True,
        )
    ]
)
class LimitRequestOrderSerializer(serializers.Serializer[Any]):
    budget_id = serializers.IntegerField(min_value=0, max_value=ID_LIMIT, help_text="From `budgets/`.")
    wanted = AmountField(help_text="The whole limit that you want, in the budget's unit.")
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=REASON_CHARACTERS)


class LimitRequestsQuery(serializers.Serializer[Any]):
    scope = serializers.ChoiceField(
        ("own", "all"), default="own", help_text="`all`: everyone's; needs the permission."
    )
    state = serializers.ChoiceField(RequestState.choices, required=False)
    limit = serializers.IntegerField(
        default=REQUESTS_PER_PAGE, min_value=1, max_value=REQUESTS_PER_PAGE_LIMIT
    )
    before = serializers.IntegerField(
        required=False, min_value=0, max_value=ID_LIMIT, help_text="Only those before the one with this id."
    )


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A request that waits",
            {
                "id": 12,
                "user_id": 3,
                "budget_id": 7,
                "unit": "tokens",
                "period": "day",
                "model": None,
                "limit": 50000,
                "wanted": 80000,
                "reason": "The report is due on Friday.",
                "state": "pending",
                "created_at": "2026-11-21T09:30:00Z",
                "decided_at": None,
            },
            response_only=True,
        )
    ]
)
class LimitRequestSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    user_id = serializers.IntegerField(help_text="Who asks.")
    budget_id = serializers.IntegerField()
    unit = serializers.ChoiceField(UNITS)
    period = serializers.ChoiceField(PERIODS)
    model = serializers.CharField(allow_null=True, help_text="Null: all models together.")
    limit = AmountField(help_text="When it was asked.")
    wanted = AmountField()
    reason = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(RequestState.choices)
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class LimitRequestListSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="Older ones; null on the last page.")
    results = LimitRequestSerializer(many=True, help_text="The newest first.")
