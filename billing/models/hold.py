"""Holds: units taken from every bucket that applies, before a provider is called."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from billing.errors import BudgetName
from billing.literals import literals
from billing.models.bucket import Bucket
from billing.models.price import PriceVersion

MAX_CALL_TOKENS = 10**8


class HoldState(models.TextChoices):
    OPEN = "open"
    DISPATCHED = "dispatched"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


class HoldQuerySet(models.QuerySet["Hold"]):
    def alive(self) -> HoldQuerySet:
        """Those whose lines still count in their buckets."""
        return self.filter(state__in=literals((HoldState.OPEN, HoldState.DISPATCHED)))


class Hold(models.Model):
    """One attempt's reservation. ``state`` is the only authority: every change is a compare-and-set.

    open -> dispatched -> settled | released; open -> released | expired. Nothing leaves the last three.
    """

    # Of a hold just placed: the percentage that its nearest limit would reach, and whose limit it is.
    nearest_limit: tuple[int, BudgetName] | None = None
    # And of each hard limit: how many percent of what was left it takes, and its input alone.
    rest_percents: tuple[tuple[int, int], ...] = ()

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    idempotency_key = models.CharField(max_length=120, unique=True)
    fingerprint = models.CharField(max_length=128)
    user_id = models.BigIntegerField()
    group_id = models.BigIntegerField(null=True)
    conversation_id = models.UUIDField()
    generation_id = models.UUIDField(db_index=True)
    attempt = models.PositiveIntegerField()
    purpose = models.CharField(max_length=24)
    model = models.CharField(max_length=120)
    price_version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, null=True, related_name="+")
    input_tokens = models.BigIntegerField()
    output_cap_tokens = models.BigIntegerField()
    wanted_output_tokens = models.BigIntegerField()
    minimum_output_tokens = models.BigIntegerField()
    cost_nanousd = models.BigIntegerField(null=True)
    local_day = models.DateField()
    state = models.CharField(max_length=12, choices=HoldState.choices, default=HoldState.OPEN)
    created_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    checkpoint_output_tokens = models.BigIntegerField(default=0)
    release_reason = models.CharField(max_length=80, default="", blank=True)
    settled_entry = models.OneToOneField(
        "billing.LedgerEntry", on_delete=models.PROTECT, null=True, related_name="settled_hold"
    )

    objects = HoldQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(state__in=HoldState.values), name="hold_state"),
            models.CheckConstraint(
                condition=Q(output_cap_tokens__gt=0, output_cap_tokens__lte=MAX_CALL_TOKENS),
                name="hold_output_cap",
            ),
            models.CheckConstraint(
                condition=Q(input_tokens__gte=0, input_tokens__lte=MAX_CALL_TOKENS),
                name="hold_input_in_range",
            ),
            models.CheckConstraint(condition=Q(checkpoint_output_tokens__gte=0), name="hold_checkpoint"),
            models.CheckConstraint(
                condition=(Q(state=HoldState.SETTLED) & Q(settled_entry__isnull=False))
                | (~Q(state=HoldState.SETTLED) & Q(settled_entry__isnull=True)),
                name="hold_settled_has_entry",
            ),
            models.CheckConstraint(
                condition=(Q(state__in=(HoldState.OPEN, HoldState.DISPATCHED)) & Q(closed_at__isnull=True))
                | (~Q(state__in=(HoldState.OPEN, HoldState.DISPATCHED)) & Q(closed_at__isnull=False)),
                name="hold_closed_at",
            ),
            models.CheckConstraint(
                condition=Q(dispatched_at__isnull=False)
                | ~Q(state__in=(HoldState.DISPATCHED, HoldState.SETTLED)),
                name="hold_dispatched_at",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_expires_at"],
                condition=Q(state__in=(HoldState.OPEN, HoldState.DISPATCHED)),
                name="hold_alive_by_lease",
            ),
        ]

    def __str__(self) -> str:
        return f"hold {self.pk} ({self.state})"


class HoldLine(models.Model):
    """How much of one bucket a hold takes."""

    pk = models.CompositePrimaryKey("hold_id", "bucket_id")
    hold = models.ForeignKey(Hold, on_delete=models.PROTECT, related_name="lines")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="hold_lines")
    amount = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="holdline_amount")]

    def __str__(self) -> str:
        return f"{self.amount} of bucket {self.bucket_id}"
