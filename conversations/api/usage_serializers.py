"""What the usage endpoints read and write."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from billing.entry_lists import LARGEST_PAGE
from billing.models import EntryKind
from billing.receipts import usd
from conversations.models import TurnKind

GROUPS = ("day", "week", "month", "model", "provider", "conversation", "kind", "purpose", "user", "group")
ROWS_LIMIT = 5_000
ROWS_DEFAULT = 500
ENTRIES_DEFAULT = 50
KINDS = [*TurnKind.values, ""]
ID_LIMIT = 2**63 - 1


class _Query(serializers.Serializer[Any]):
    """Filters that all usage endpoints take. ``from`` is no name for a Python attribute."""

    to = serializers.DateField(required=False, help_text="Last day, inclusive. Default: today.")
    model = serializers.CharField(required=False, max_length=120, help_text="`provider:name`.")
    provider = serializers.CharField(required=False, max_length=60)
    kind = serializers.ChoiceField(
        KINDS, required=False, help_text="Of the question. Empty: calls without a question, as for titles."
    )
    purpose = serializers.CharField(required=False, max_length=24, help_text="`answer`, `title`, `summary` …")
    conversation = serializers.UUIDField(required=False)
    scope = serializers.ChoiceField(
        ("own", "all"), default="own", help_text="`all`: everyone's; needs the permission."
    )
    user = serializers.IntegerField(
        required=False, min_value=0, max_value=ID_LIMIT, help_text="Needs the permission."
    )
    group = serializers.IntegerField(
        required=False, min_value=0, max_value=ID_LIMIT, help_text="0: in no group. Needs the permission."
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        first = serializers.DateField(
            required=False, help_text="First day, inclusive. Default: 29 days before the last one."
        )
        return {"from": first, **super().get_fields()}


class UsageQuery(_Query):
    group_by = serializers.ChoiceField(GROUPS, default="day")
    limit = serializers.IntegerField(
        default=ROWS_DEFAULT,
        min_value=1,
        max_value=ROWS_LIMIT,
        help_text="Rows, greatest first. Days, weeks and months come whole and in order.",
    )


class ExportQuery(_Query):
    group_by = serializers.ChoiceField(
        GROUPS, required=False, help_text="Left out: every single entry, newest day first."
    )


class EntriesQuery(_Query):
    entry_kind = serializers.ChoiceField(EntryKind.values, required=False)
    bearer = serializers.ChoiceField(("user", "house"), required=False)
    estimated = serializers.BooleanField(required=False, allow_null=True, default=None)
    cursor = serializers.CharField(required=False, default="", max_length=80)
    limit = serializers.IntegerField(default=ENTRIES_DEFAULT, min_value=1, max_value=LARGEST_PAGE)


class SumsSerializer(serializers.Serializer[Any]):
    """Sums of ledger entries. Cached is within input, thinking within output."""

    calls = serializers.IntegerField()
    estimated_calls = serializers.IntegerField(help_text="The provider did not report these.")
    unpriced_calls = serializers.IntegerField(help_text="Not in `cost_usd`: their price is unknown.")
    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(source="cache_read_tokens")
    output_tokens = serializers.IntegerField()
    thinking_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.SerializerMethodField()

    def get_cost_usd(self, sums: Any) -> str:
        return usd(sums.cost_nanousd) or "0"


class UsageSumsSerializer(serializers.Serializer[Any]):
    billed = SumsSerializer(help_text="What users bear.")
    house = SumsSerializer(help_text="What the house bears: not charged.")


class UsageRowSerializer(serializers.Serializer[Any]):
    key = serializers.CharField(
        allow_blank=True, help_text="First day of the period, model, kind, conversation id, user number …"
    )
    usage = UsageSumsSerializer()


_SUMS = {
    "calls": 12,
    "estimated_calls": 0,
    "unpriced_calls": 0,
    "input_tokens": 4210,
    "cached_tokens": 1024,
    "output_tokens": 3105,
    "thinking_tokens": 0,
    "total_tokens": 7315,
    "cost_usd": "0.001663",
}
_NOTHING = {name: "0" if name == "cost_usd" else 0 for name in _SUMS}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "By kind of question",
            {
                "from": "2026-11-01",
                "to": "2026-11-21",
                "group_by": "kind",
                "total": {"billed": _SUMS, "house": _NOTHING},
                "results": [{"key": "code", "usage": {"billed": _SUMS, "house": _NOTHING}}],
            },
            response_only=True,
        )
    ]
)
class UsageSerializer(serializers.Serializer[Any]):
    to = serializers.DateField()
    group_by = serializers.ChoiceField(GROUPS)
    total = UsageSumsSerializer()
    results = UsageRowSerializer(many=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {"from": serializers.DateField(), **super().get_fields()}


class ComparisonSerializer(serializers.Serializer[Any]):
    """A running period beside as many days of the one before."""

    current = UsageSumsSerializer()
    previous = UsageSumsSerializer()
    tokens_percent = serializers.IntegerField(allow_null=True, help_text="Null: nothing before.")
    cost_percent = serializers.IntegerField(allow_null=True)


class AverageSerializer(serializers.Serializer[Any]):
    conversations = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.SerializerMethodField()

    def get_cost_usd(self, average: Any) -> str:
        return usd(average.cost_nanousd) or "0"


class UsageSummarySerializer(serializers.Serializer[Any]):
    day = serializers.DateField(help_text="Today, where your days begin.")
    timezone = serializers.CharField()
    today = ComparisonSerializer()
    week = ComparisonSerializer()
    month = ComparisonSerializer()
    per_conversation = AverageSerializer(help_text="Of this month.")


class EntrySerializer(serializers.Serializer[Any]):
    """A line of the ledger. Corrections (`trueup`, `adjust`, `refund`) carry signed figures."""

    id = serializers.UUIDField()
    created_at = serializers.DateTimeField()
    day = serializers.DateField(source="local_day", help_text="The day on which it counts.")
    entry_kind = serializers.ChoiceField(EntryKind.values, source="kind")
    kind = serializers.CharField(source="turn_kind", allow_blank=True, help_text="Of the question.")
    purpose = serializers.CharField(allow_blank=True)
    user_id = serializers.IntegerField()
    group_id = serializers.IntegerField(allow_null=True)
    conversation_id = serializers.UUIDField(allow_null=True)
    generation_id = serializers.UUIDField(allow_null=True)
    attempt = serializers.IntegerField(allow_null=True)
    model = serializers.CharField(allow_blank=True)
    input_tokens = serializers.SerializerMethodField()
    cached_tokens = serializers.IntegerField(source="cache_read_tokens")
    output_tokens = serializers.SerializerMethodField()
    thinking_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.SerializerMethodField(help_text="Null: the price is unknown.")
    price_version = serializers.IntegerField(source="price_version_id", allow_null=True)
    charged = serializers.SerializerMethodField(help_text="False: the house bears it.")
    estimated = serializers.BooleanField()
    reverses = serializers.UUIDField(source="reverses_id", allow_null=True)
    note = serializers.CharField(allow_blank=True)

    def get_input_tokens(self, entry: Any) -> int:
        return int(entry.input_tokens)

    def get_output_tokens(self, entry: Any) -> int:
        return int(entry.output_tokens)

    def get_cost_usd(self, entry: Any) -> str | None:
        return usd(entry.cost_nanousd)

    def get_charged(self, entry: Any) -> bool:
        return bool(entry.bearer == "user")


class EntryListSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = EntrySerializer(many=True)
