"""Buckets: one budget in one period. A period is a row, so nothing is ever reset."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.models.budget import MAX_LIMIT_UNITS, Budget, Unit


class Bucket(models.Model):
    """What is posted and held of one budget in one period, in the budget's unit.

    The limit is copied here because this is the row that the conditional update and the CHECK see.
    ``slack`` is what was recorded beyond what was held; it lets the CHECK accept the truth and is never
    an allowance: a hold is admitted against the limit alone. ``drawn`` is the part of the limit that
    came out of grants. ``suspended_at`` is set while its sums differ from its lines: nothing is admitted.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="buckets")
    unit = models.CharField(max_length=8, choices=Unit.choices)
    timezone = models.CharField(max_length=64)
    period_start = models.DateTimeField()
    period_end = models.DateTimeField(null=True, blank=True)
    limit_units = models.BigIntegerField(null=True, blank=True)
    limit_version = models.PositiveIntegerField()
    hard = models.BooleanField()
    posted = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    slack = models.BigIntegerField(default=0)
    drawn = models.BigIntegerField(default=0)
    notified_percent = models.PositiveSmallIntegerField(default=0)
    suspended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("budget", "period_start", name="bucket_period"),
            models.CheckConstraint(
                condition=Q(period_end__isnull=True) | Q(period_end__gt=F("period_start")),
                name="bucket_period_not_empty",
            ),
            models.CheckConstraint(
                condition=Q(limit_units__isnull=True)
                | Q(limit_units__gte=0, limit_units__lte=MAX_LIMIT_UNITS),
                name="bucket_limit_in_range",
            ),
            models.CheckConstraint(condition=Q(unit__in=Unit.values), name="bucket_unit"),
            models.CheckConstraint(condition=Q(posted__gte=0), name="bucket_posted_not_negative"),
            models.CheckConstraint(condition=Q(held__gte=0), name="bucket_held_not_negative"),
            models.CheckConstraint(condition=Q(slack__gte=0), name="bucket_slack_not_negative"),
            models.CheckConstraint(condition=Q(drawn__gte=0), name="bucket_drawn_not_negative"),
            models.CheckConstraint(
                condition=Q(hard=False)
                | Q(limit_units__isnull=True)
                | Q(limit_units__gte=F("posted") + F("held") - F("slack")),
                name="bucket_never_over_limit",
            ),
        ]
        # For reports on what runs now; a column that no call changes, so that updates stay in place (HOT).
        indexes = [models.Index(fields=["period_end"], name="bucket_by_period_end")]

    def __str__(self) -> str:
        return f"bucket {self.pk} of budget {self.budget_id}"


class LimitChange(models.Model):
    """A change of a running bucket's limit; ``slack_added`` is what lay above the new limit then."""

    bucket = models.ForeignKey(Bucket, on_delete=models.PROTECT, related_name="limit_changes")
    limit_version = models.PositiveIntegerField()
    old_limit_units = models.BigIntegerField(null=True)
    new_limit_units = models.BigIntegerField(null=True)
    slack_added = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint("bucket", "limit_version", name="limitchange_version"),
            models.CheckConstraint(condition=Q(slack_added__gte=0), name="limitchange_slack_not_negative"),
        ]

    def __str__(self) -> str:
        return f"limit version {self.limit_version} of bucket {self.bucket_id}"
