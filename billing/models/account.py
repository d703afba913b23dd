"""Who is billed: accounts and billing groups. Users are plain integers here, never foreign keys."""

from __future__ import annotations

from django.db import models

from billing.models.plan import Plan


class Account(models.Model):
    """What the ledger knows of a user: the plan and the zone in which the user's days begin."""

    user_id = models.BigIntegerField(unique=True)
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="accounts")
    timezone = models.CharField(max_length=64, default="UTC")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"account of user {self.user_id}"


class BillingGroup(models.Model):
    """People who share budgets. Its members see sums of the group, never each other's chats."""

    name = models.CharField(max_length=120, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """A user's membership; the unique user makes it at most one group."""

    group = models.ForeignKey(BillingGroup, on_delete=models.PROTECT, related_name="members")
    user_id = models.BigIntegerField(unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"user {self.user_id} in group {self.group_id}"
