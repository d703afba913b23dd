"""Records of provider calls and their sums by the hour and by the day: what operators look at.

No text, no user, no money: what a call cost stands in the ledger, which outlives all of this.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

from django.db import models
from django.db.models import Q, Sum

# The upper bound of the last bucket of a histogram.
NO_BOUND_MS = 2**31 - 1


class Measure(models.TextChoices):
    """What a histogram is about, all in milliseconds."""

    FIRST_TOKEN = "first_token", "call to first token"
    CALL = "call", "call to its good end"
    TOKEN_INTERVAL = "token_interval", "mean time between tokens of a call"
    ANSWER = "answer", "question to complete answer, waits included"


class CallRecord(models.Model):
    """One call of a provider, written in the transaction that ends it.

    ``code`` "" is a good end or a person's stop. ``outcome`` is the state that the generation went to:
    "waiting" where another attempt follows. ``waited_ms`` lies between the question and the call.
    Counts of tokens are the provider's own, null where it reported none.
    """

    id = models.BigAutoField(primary_key=True)
    generation_id = models.UUIDField()
    attempt = models.PositiveSmallIntegerField()
    provider = models.CharField(max_length=32)
    model = models.CharField(max_length=200)
    purpose = models.CharField(max_length=24)
    outcome = models.CharField(max_length=12)
    code = models.CharField(max_length=40, blank=True)
    is_retry = models.BooleanField()
    is_fallback = models.BooleanField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(db_index=True)
    waited_ms = models.PositiveIntegerField(null=True)
    first_token_ms = models.PositiveIntegerField(null=True)
    duration_ms = models.PositiveIntegerField(null=True)
    token_interval_ms = models.PositiveIntegerField(null=True)
    answer_ms = models.PositiveIntegerField(null=True)
    input_estimate_tokens = models.PositiveIntegerField()
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return f"call {self.attempt} of {self.generation_id}: {self.code or 'good'}"


class CallSumsQuerySet(models.QuerySet[Any]):
    def between(self, start: datetime, end: datetime) -> Self:
        """Hours, or days of UTC, that begin within [start, end)."""
        return self.filter(hour__gte=start, hour__lt=end)

    def sums_by(self, *keys: str) -> models.QuerySet[Any, dict[str, Any]]:
        """A row per value of the keys, such as "hour", "provider", "model", "purpose", "outcome", "code"."""
        sums = {name: Sum(name) for name in SUMS}
        found: models.QuerySet[Any, dict[str, Any]] = self.values(*keys).annotate(**sums).order_by(*keys)
        return found


class DayQuerySet(CallSumsQuerySet):
    def between(self, start: datetime, end: datetime) -> Self:
        return self.filter(day__gte=start.astimezone(UTC).date(), day__lt=end.astimezone(UTC).date())


class _CallSums(models.Model):
    """Sums of call records with the same key."""

    provider = models.CharField(max_length=32)
    model = models.CharField(max_length=200)
    purpose = models.CharField(max_length=24)
    outcome = models.CharField(max_length=12)
    code = models.CharField(max_length=40, blank=True)
    calls = models.BigIntegerField()
    retries = models.BigIntegerField()
    fallbacks = models.BigIntegerField()
    waited_ms = models.BigIntegerField()
    duration_ms = models.BigIntegerField()
    # Of the calls whose provider reported both: how far our estimate was from its count.
    reported_calls = models.BigIntegerField()
    input_estimate_tokens = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()

    class Meta:
        abstract = True


class CallHour(_CallSums):
    """Of an hour (UTC), by the moment at which the calls ended."""

    hour = models.DateTimeField()

    objects = CallSumsQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["hour", "provider", "model", "purpose", "outcome", "code"], name="callhour_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.calls} calls of {self.model} in {self.hour:%Y-%m-%d %H:00}"


class CallDay(_CallSums):
    """Of a day (UTC): the sums of its hours, so that long ranges read few rows."""

    day = models.DateField()

    objects = DayQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["day", "provider", "model", "purpose", "outcome", "code"], name="callday_key"
            ),
        )

    def __str__(self) -> str:
        return f"{self.calls} calls of {self.model} on {self.day}"


SUMS = (
    "calls",
    "retries",
    "fallbacks",
    "waited_ms",
    "duration_ms",
    "reported_calls",
    "input_estimate_tokens",
    "input_tokens",
    "output_tokens",
)


class _LatencySums(models.Model):
    """A bucket of a histogram: how many calls lay above the bound below it and up to its own."""

    provider = models.CharField(max_length=32)
    model = models.CharField(max_length=200)
    measure = models.CharField(max_length=16, choices=Measure.choices)
    bound_ms = models.PositiveIntegerField()
    calls = models.BigIntegerField()
    total_ms = models.BigIntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.calls} of {self.model} up to {self.bound_ms} ms ({self.measure})"


class LatencyHour(_LatencySums):
    """Of an hour (UTC)."""

    hour = models.DateTimeField()

    objects = CallSumsQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["hour", "provider", "model", "measure", "bound_ms"], name="latencyhour_key"
            ),
            models.CheckConstraint(condition=Q(measure__in=Measure.values), name="latencyhour_measure"),
        )


class LatencyDay(_LatencySums):
    """Of a day (UTC): the sums of its hours."""

    day = models.DateField()

    objects = DayQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["day", "provider", "model", "measure", "bound_ms"], name="latencyday_key"
            ),
            models.CheckConstraint(condition=Q(measure__in=Measure.values), name="latencyday_measure"),
        )
