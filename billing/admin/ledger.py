"""The ledger's facts: entries, holds, buckets and events. Looked at, never edited; refunds are entries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils import timezone

from billing import entries
from billing.admin.base import FactAdmin
from billing.admin.people import NamesPeople
from billing.admin.scopes import NamesScopes, bucket_amount
from billing.amounts import amount_words
from billing.errors import InvalidAmount
from billing.literals import Literal, literals
from billing.models import (
    Bucket,
    Budget,
    BudgetEvent,
    EntryKind,
    Hold,
    HoldLine,
    HoldState,
    LedgerEntry,
    Period,
    Posting,
)
from billing.receipts import usd

_Ordering = list[str | Combinable] | tuple[str | Combinable, ...]


class SinceFilter(admin.SimpleListFilter):
    """How far back: a range of an indexed time, never a scan for distinct days."""

    title = "since"
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "the last 24 hours"), ("7", "the last 7 days"), ("30", "the last 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("1", "7", "30"):
            return queryset.filter(created_at__gte=timezone.now() - timedelta(days=int(self.value() or 1)))
        return queryset


class CorrectionsFilter(admin.SimpleListFilter):
    """Rare kinds have an index of their own; filtering by any kind would read ten million rows."""

    title = "corrections and grants"
    parameter_name = "corrections"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "only these")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(~Q(kind=Literal(EntryKind.USAGE.value))) if self.value() == "yes" else queryset


class AliveFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "alive"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "alive")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        alive = literals((HoldState.OPEN, HoldState.DISPATCHED))
        return queryset.filter(state__in=alive) if self.value() == "yes" else queryset


@admin.register(LedgerEntry)
class LedgerEntryAdmin(NamesPeople, FactAdmin):
    list_display = ["created_at", "kind", "person", "model", "tokens", "cost", "bearer", "estimated", "id"]
    list_filter = [SinceFilter, CorrectionsFilter]
    search_help_text = (
        "A user's name or number; or the id of an entry, a hold, a conversation or a generation."
    )
    search_numbers = ("user_id",)
    search_uuids = ("id", "hold_id", "conversation_id", "generation_id")
    list_select_related = False
    actions = ["refund"]
    exclude = ["usage_raw"]

    def get_ordering(self, request: HttpRequest) -> _Ordering:
        """By the time that is filtered by: SQLite walks the index of the order, not of the filter."""
        if any(name.startswith("local_day") for name in request.GET):
            return ["-local_day", "-id"]
        return ["-created_at"] if SinceFilter.parameter_name in request.GET else ["-id"]

    @admin.display(description="tokens")
    def tokens(self, entry: LedgerEntry) -> str:
        return f"{entry.total_tokens:,}"

    @admin.display(description="cost")
    def cost(self, entry: LedgerEntry) -> str:
        amount = usd(entry.cost_nanousd)
        return "unknown" if amount is None else f"${amount}"

    def has_refund_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("billing.refund_ledgerentry"))

    @admin.action(description="Refund the selected entries", permissions=["refund"])
    def refund(self, request: HttpRequest, queryset: QuerySet[LedgerEntry]) -> None:
        done = 0
        for entry in queryset.order_by("pk"):
            try:
                entries.refund(entry.pk, reason="refunded in the admin", actor_id=request.user.pk)
                done += 1
            except InvalidAmount as error:
                self.message_user(request, str(error), messages.ERROR)
        self.message_user(request, f"Refunded: {done}.")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Hold)
class HoldAdmin(NamesPeople, FactAdmin):
    list_display = [
        "created_at",
        "state",
        "person",
        "model",
        "purpose",
        "attempt",
        "output_cap_tokens",
        "id",
    ]
    list_filter = [AliveFilter]
    search_help_text = "The id of a hold or of a generation."
    search_uuids = ("id", "generation_id")
    readonly_fields = ["takes"]
    list_select_related = False

    def get_ordering(self, request: HttpRequest) -> _Ordering:
        """Those alive by the end of their lease, which has an index of its own."""
        return ["lease_expires_at"] if AliveFilter.parameter_name in request.GET else ["-id"]

    @admin.display(description="takes")
    def takes(self, hold: Hold) -> str:
        lines = HoldLine.objects.filter(hold=hold).select_related("bucket__budget")
        return "; ".join(
            f"{amount_words(line.bucket.unit, line.amount)} of [{line.bucket.budget}]" for line in lines
        )


@admin.register(Bucket)
class BucketAdmin(NamesScopes, FactAdmin):
    list_display = ["id", "person", "of_model", "period", "limit", "used", "held_now", "over"]
    list_display_links = ["id", "person"]
    list_select_related = ["budget"]
    ordering = ["-id"]
    search_help_text = "The number of a bucket or of its budget."
    search_numbers = ("id", "budget_id")
    readonly_fields = ["last_postings"]

    @admin.display(description="model")
    def of_model(self, bucket: Bucket) -> str:
        return bucket.budget.model or "all"

    @admin.display(description="period")
    def period(self, bucket: Bucket) -> str:
        start = bucket.period_start.astimezone(ZoneInfo(bucket.timezone))
        return {
            Period.NONE: "in total",
            Period.DAY: f"{start:%Y-%m-%d}",
            Period.WEEK: f"week from {start:%Y-%m-%d}",
            Period.MONTH: f"{start:%B %Y}",
        }[Period(bucket.budget.period)]

    @admin.display(description="limit")
    def limit(self, bucket: Bucket) -> str:
        return bucket_amount(bucket, bucket.limit_units)

    @admin.display(description="used", ordering="posted")
    def used(self, bucket: Bucket) -> str:
        return bucket_amount(bucket, bucket.posted)

    @admin.display(description="held")
    def held_now(self, bucket: Bucket) -> str:
        return bucket_amount(bucket, bucket.held) if bucket.held else ""

    @admin.display(description="over the hold")
    def over(self, bucket: Bucket) -> str:
        return bucket_amount(bucket, bucket.slack) if bucket.slack else ""

    @admin.display(description="last postings")
    def last_postings(self, bucket: Bucket) -> str:
        found = Posting.objects.filter(bucket=bucket).order_by("-entry_id")[:20]
        return "; ".join(f"{bucket_amount(bucket, one.amount)} by {one.entry_id}" for one in found)


@admin.register(BudgetEvent)
class BudgetEventAdmin(NamesScopes, FactAdmin):
    list_display = ["created_at", "what", "person", "used", "limit", "notified_at"]
    list_display_links = ["created_at", "what"]
    ordering = ["-id"]
    list_select_related = ["bucket__budget"]
    search_help_text = "The number of a bucket."
    search_numbers = ("bucket_id",)

    def budget_of(self, row: BudgetEvent) -> Budget:
        return row.bucket.budget

    @admin.display(description="what")
    def what(self, event: BudgetEvent) -> str:
        return "first refusal" if event.kind == BudgetEvent.REFUSED else f"{event.kind} % used"

    @admin.display(description="used")
    def used(self, event: BudgetEvent) -> str:
        return bucket_amount(event.bucket, event.posted)

    @admin.display(description="limit")
    def limit(self, event: BudgetEvent) -> str:
        return bucket_amount(event.bucket, event.limit_units)
