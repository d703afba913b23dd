"""Grants: units on top of a budget, burnt when the period's own limit is used up."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.models.bucket import Bucket
from billing.models.budget import MAX_LIMIT_UNITS, Budget


class Grant(models.Model):
    """A top-up of one budget, in its unit. What is not burnt by ``expires_at`` is gone.

    Units move between here and the buckets' limits: granted = remaining + drawn by buckets + expired.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="grants")
    granted_units = models.BigIntegerField()
    remaining_units = models.BigIntegerField()
    expired_units = models.BigIntegerField(default=0)
    priority = models.SmallIntegerField(default=0)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    idempotency_key = models.CharField(max_length=120, unique=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(granted_units__gt=0, granted_units__lte=MAX_LIMIT_UNITS),
                name="grant_units_in_range",
            ),
            models.CheckConstraint(
                condition=Q(remaining_units__gte=0, expired_units__gte=0)
                & Q(granted_units__gte=F("remaining_units") + F("expired_units")),
                name="grant_never_more_than_granted",
            ),
        ]
        indexes = [
            models.Index(fields=["budget"], condition=Q(remaining_units__gt=0), name="grant_with_rest"),
        ]

    def __str__(self) -> str:
        return f"grant of {self.granted_units:,} to budget {self.budget_id}"


class GrantDraw(models.Model):
    """What a bucket's limit has out of a grant."""

    pk = models.CompositePrimaryKey("grant_id", "bucket_id")
    grant = models.ForeignKey(Grant, on_delete=models.PROTECT, related_name="draws")
    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="draws")
    amount = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0), name="grantdraw_amount")]

    def __str__(self) -> str:
        return f"{self.amount} of grant {self.grant_id}"
