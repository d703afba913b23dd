"""Rollups: sums of entries per user, model and day, kept in the transaction that writes the entry."""

from __future__ import annotations

from django.db import models

from billing.models.entry import Bearer


class UsageRollup(models.Model):
    """Σ of the ledger's entries with this key. ``group_id`` 0 means no group, so the key has no nulls.

    ``calls`` counts usage entries; corrections change the sums of the day that they correct.
    """

    user_id = models.BigIntegerField()
    local_day = models.DateField()
    model = models.CharField(max_length=120)
    bearer = models.CharField(max_length=8, choices=Bearer.choices)
    group_id = models.BigIntegerField(default=0)
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
        constraints = [
            models.UniqueConstraint(
                "user_id", "local_day", "model", "bearer", "group_id", name="usagerollup_key"
            ),
        ]
        indexes = [
            models.Index(fields=["local_day", "model"], name="usagerollup_by_day"),
            models.Index(fields=["group_id", "local_day"], name="usagerollup_by_group"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} on {self.local_day}: {self.model}"
