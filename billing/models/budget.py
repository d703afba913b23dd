"""Budgets: the rules that say how much may be used, by whom, of what, and per which period."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce

from billing.amounts import amount_words

# One billion dollars in nano-USD, and more tokens than anybody will see: sums stay far inside 64 bits.
MAX_LIMIT_UNITS = 10**18


class Unit(models.TextChoices):
    TOKENS = "tokens", "tokens"
    NANOUSD = "nanousd", "nano-USD"


class Period(models.TextChoices):
    NONE = "none", "in total"
    DAY = "day", "day"
    WEEK = "week", "week"
    MONTH = "month", "month"


class ScopeKind(models.TextChoices):
    USER = "user", "user"
    GROUP = "group", "group"
    CONVERSATION = "conversation", "conversation"
    EVERYONE = "everyone", "everyone"
    # A limit that a person has set below the admin's. It meets the same calls and can only refuse more.
    OWN = "own", "user's own limit"


class BudgetSource(models.TextChoices):
    PLAN = "plan", "from the plan"
    HAND = "hand", "set by hand"


def default_thresholds() -> list[int]:
    """Percentages of the limit at which an event is recorded."""
    return [75, 90, 100]


class Budget(models.Model):
    """One rule. Its key (scope, model, unit, period) is unique for good: a budget that is closed and
    set again is the same row, so its running period goes on and nobody gains a second allowance.

    ``scope_id`` is opaque text: a user's or group's number, a conversation's UUID, empty for everyone;
    for a limit of one's own the user's number.
    It applies from the moment it is there, whatever ``valid_from`` says: clocks differ, limits must not.
    ``model`` null means all models, ``limit_units`` null means unlimited (and still counted).
    """

    scope_kind = models.CharField(max_length=12, choices=ScopeKind.choices)
    scope_id = models.CharField(max_length=64, blank=True, default="")
    model = models.CharField(max_length=120, null=True, blank=True)
    unit = models.CharField(max_length=8, choices=Unit.choices)
    limit_units = models.BigIntegerField(null=True, blank=True)
    period = models.CharField(max_length=8, choices=Period.choices)
    timezone = models.CharField(max_length=64, default="UTC")
    hard = models.BooleanField(default=True)
    thresholds = models.JSONField(default=default_thresholds)
    source = models.CharField(max_length=8, choices=BudgetSource.choices, default=BudgetSource.HAND)
    limit_version = models.PositiveIntegerField(default=1)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "scope_kind",
                "scope_id",
                Coalesce("model", models.Value("")),
                "unit",
                "period",
                name="budget_key",
            ),
            models.CheckConstraint(
                condition=Q(limit_units__isnull=True)
                | Q(limit_units__gte=0, limit_units__lte=MAX_LIMIT_UNITS),
                name="budget_limit_in_range",
            ),
            models.CheckConstraint(condition=Q(scope_kind__in=ScopeKind.values), name="budget_scope_kind"),
            models.CheckConstraint(
                condition=Q(scope_kind=ScopeKind.EVERYONE, scope_id="")
                | (~Q(scope_kind=ScopeKind.EVERYONE) & ~Q(scope_id="")),
                name="budget_scope_id_names_one",
            ),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="budget_unit"),
            models.CheckConstraint(condition=Q(period__in=Period.values), name="budget_period"),
            models.CheckConstraint(condition=Q(source__in=BudgetSource.values), name="budget_source"),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=models.F("valid_from")),
                name="budget_valid_range",
            ),
        ]

    def __str__(self) -> str:
        scope = f"{self.scope_kind} {self.scope_id}".strip()
        per = "in total" if self.period == Period.NONE else f"per {self.period}"
        return f"{scope}: {amount_words(self.unit, self.limit_units)} {per}"


class BudgetEvent(models.Model):
    """A threshold that was passed, or the first refusal: once per bucket and version of its limit.

    ``kind`` is a percentage ("75", "90", "100") or "refused". ``notified_at`` belongs to whoever
    delivers it.
    """

    REFUSED = "refused"

    bucket = models.ForeignKey("billing.Bucket", on_delete=models.PROTECT, related_name="events")
    limit_version = models.PositiveIntegerField()
    kind = models.CharField(max_length=8)
    posted = models.BigIntegerField()
    limit_units = models.BigIntegerField()
    created_at = models.DateTimeField()
    notified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("bucket", "limit_version", "kind", name="budgetevent_once"),
        ]
        indexes = [
            models.Index(
                fields=["created_at"], condition=Q(notified_at__isnull=True), name="budgetevent_unnotified"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of bucket {self.bucket_id}"
