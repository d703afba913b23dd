"""Rollups: sums of entries, so that no page and no query has to add up the ledger itself.

``UsageRollup`` is kept in the transaction that writes the entry; its rows belong to one user, so nobody
waits for them. The others are sums over many users, whose rows everybody would wait for: the settling
transaction only notes the entry in ``PendingRollup``, and ``billing.rollups.fold_pending`` adds it to them.
Whoever reads them adds what is pending, so they are exact at every moment.
"""

from __future__ import annotations

from django.db import models

from billing.models.entry import TOKEN_COLUMNS, Bearer, EntryKind

SUM_COLUMNS = ("calls", "estimated_calls", "unpriced_calls", *TOKEN_COLUMNS, "cost_nanousd")
# Grants move no usage.
ROLLED_KINDS = (EntryKind.USAGE, EntryKind.TRUEUP, EntryKind.ADJUST, EntryKind.REFUND)


class Rollup(models.Model):
    """Σ of the ledger's entries with one key. ``group_id`` 0 means no group, so keys have no nulls.

    ``calls`` counts usage entries; corrections change the sums of the day that they correct.
    """

    bearer = models.CharField(max_length=8, choices=Bearer.choices)
    calls = models.BigIntegerField(default=0)
    estimated_calls = models.BigIntegerField(default=0)
    unpriced_calls = models.BigIntegerField(default=0)
    input_uncached_tokens = models.BigIntegerField(default=0)
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    tool_prompt_tokens = models.BigIntegerField(default=0)
    output_visible_tokens = models.BigIntegerField(default=0)
    thinking_tokens = models.BigIntegerField(default=0)
    cost_nanousd = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class _ByWhat(Rollup):
    """Key columns: which model was called, and what for."""

    model = models.CharField(max_length=120)
    purpose = models.CharField(max_length=24, default="", blank=True)
    turn_kind = models.CharField(max_length=16, default="", blank=True)

    class Meta:
        abstract = True


class _ByWho(Rollup):
    """Key columns: who made the calls, in which group at that time."""

    user_id = models.BigIntegerField()
    group_id = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class UsageRollup(_ByWhat, _ByWho):
    """What a user used on one of the user's days, in one conversation, by one model, for one purpose."""

    local_day = models.DateField()
    conversation_id = models.UUIDField()

    class Meta:
        verbose_name_plural = "usage"
        constraints = [
            models.UniqueConstraint(
                "user_id",
                "local_day",
                "conversation_id",
                "model",
                "bearer",
                "group_id",
                "purpose",
                "turn_kind",
                name="usagerollup_key",
            ),
        ]
        indexes = [
            models.Index(fields=["local_day", "model"], name="usagerollup_by_day"),
            models.Index(fields=["group_id", "local_day"], name="usagerollup_by_group"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} on {self.local_day}: {self.model}"


class SiteHourRollup(_ByWhat):
    """What the site used in an hour of UTC, by the moment at which the entries were written."""

    hour = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "hour", "model", "bearer", "purpose", "turn_kind", name="sitehourrollup_key"
            ),
        ]

    def __str__(self) -> str:
        return f"site at {self.hour}: {self.model}"


class SiteDayRollup(_ByWhat):
    """What the site used on a day; each entry counts on the day of the user who made the call."""

    local_day = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "local_day", "model", "bearer", "purpose", "turn_kind", name="sitedayrollup_key"
            ),
        ]

    def __str__(self) -> str:
        return f"site on {self.local_day}: {self.model}"


class UserDayRollup(_ByWho):
    """What a user used on a day, whatever the model: for comparing users."""

    local_day = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint("local_day", "user_id", "group_id", "bearer", name="userdayrollup_key"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} on {self.local_day}"


class UserWeekRollup(_ByWho):
    """The same per week, named by its Monday: so that ranges of some weeks read few rows."""

    week = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint("week", "user_id", "group_id", "bearer", name="userweekrollup_key"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} in the week of {self.week}"


class UserMonthRollup(_ByWho):
    """The same per calendar month, named by its first day: so that long ranges read few rows."""

    month = models.DateField()

    class Meta:
        constraints = [
            models.UniqueConstraint("month", "user_id", "group_id", "bearer", name="usermonthrollup_key"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} in {self.month:%Y-%m}"


class OverrunDayRollup(models.Model):
    """How the settled calls of a day and model kept to what was held for them; days as in the others.

    ``over_*``: what calls used beyond their own holds, call by call; what others left over is not set off.
    """

    local_day = models.DateField()
    model = models.CharField(max_length=120)
    calls = models.BigIntegerField(default=0)
    over_calls = models.BigIntegerField(default=0)
    over_tokens = models.BigIntegerField(default=0)
    over_nanousd = models.BigIntegerField(default=0)
    held_input_tokens = models.BigIntegerField(default=0)
    held_output_tokens = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint("local_day", "model", name="overrundayrollup_key")]

    def __str__(self) -> str:
        return f"overruns on {self.local_day}: {self.model}"


class PendingRollup(models.Model):
    """An entry that the rollups of the site do not hold yet. Usually those of the last few seconds."""

    entry_id = models.UUIDField(primary_key=True)

    def __str__(self) -> str:
        return f"entry {self.pk}"
