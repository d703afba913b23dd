"""What a person asks an admin for: more of a budget."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.budget import MAX_LIMIT_UNITS, Budget


class RequestState(models.TextChoices):
    PENDING = "pending", "waiting"
    APPROVED = "approved", "approved"
    DECLINED = "declined", "declined"
    WITHDRAWN = "withdrawn", "withdrawn"


class LimitRequest(models.Model):
    """A wish for a higher limit of one's own budget, in its unit; at most one is pending per budget.

    ``limit_units`` is the limit when it was asked, ``decided_by`` the admin's user number.
    """

    budget = models.ForeignKey(Budget, on_delete=models.PROTECT, related_name="limit_requests")
    user_id = models.BigIntegerField()
    limit_units = models.BigIntegerField()
    wanted_units = models.BigIntegerField()
    reason = models.CharField(max_length=500, blank=True, default="")
    state = models.CharField(max_length=12, choices=RequestState.choices, default=RequestState.PENDING)
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.BigIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["budget"], condition=Q(state=RequestState.PENDING), name="limitrequest_one_pending"
            ),
            models.CheckConstraint(condition=Q(state__in=RequestState.values), name="limitrequest_state"),
            models.CheckConstraint(
                condition=Q(wanted_units__gt=models.F("limit_units"), wanted_units__lte=MAX_LIMIT_UNITS),
                name="limitrequest_wants_more",
            ),
            models.CheckConstraint(
                condition=Q(state=RequestState.PENDING, decided_at__isnull=True)
                | (~Q(state=RequestState.PENDING) & Q(decided_at__isnull=False)),
                name="limitrequest_decided_at",
            ),
        ]
        indexes = [models.Index(fields=["user_id", "-created_at"], name="limitrequest_by_user")]

    def __str__(self) -> str:
        return f"user {self.user_id} asks for {self.wanted_units:,} instead of {self.limit_units:,}"
