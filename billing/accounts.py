"""Accounts: every user has one from the first call on, with a plan and the budgets that it brings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.utils import timezone

from billing import plans, sql
from billing.errors import InvalidAmount
from billing.models import Account, BillingGroup, Budget, GroupMember, Plan, ScopeKind
from billing.periods import check_timezone


@dataclass(frozen=True, slots=True)
class Payer:
    """What a call needs to know of the user who pays for it."""

    user_id: int
    timezone: str
    group_id: int | None


def payer(user_id: int, *, now: datetime) -> Payer:
    """The user's account, made with the default plan if there is none yet."""
    for _ in range(2):
        found = sql.prepared_rows(
            "SELECT a.timezone, m.group_id FROM billing_account a"
            " LEFT JOIN billing_groupmember m ON m.user_id = a.user_id WHERE a.user_id = %s",
            (user_id,),
        )
        if found:
            return Payer(user_id=user_id, timezone=found[0][0], group_id=found[0][1])
        ensure_account(user_id=user_id, now=now)
    raise AssertionError("an account that was just made is not there")


def ensure_account(*, user_id: int, now: datetime | None = None) -> Account:
    """The user's account; a new one gets ``DEFAULT_PLAN`` and the site's zone."""
    now = now or timezone.now()
    with transaction.atomic():
        account, created = Account.objects.get_or_create(
            user_id=user_id, defaults={"plan": default_plan(), "timezone": settings.TIME_ZONE}
        )
        if created:
            plans.sync_user(account, now=now)
    return account


def default_plan() -> Plan:
    name = settings.DEFAULT_PLAN
    plan = Plan.objects.filter(name=name).first()
    if plan is None:
        raise ImproperlyConfigured(f"DEFAULT_PLAN is {name!r}, and there is no such plan.")
    return plan


def set_plan(*, user_id: int, plan: str, now: datetime | None = None) -> Account:
    """Put the user on a plan. Budgets set by hand stay; what the period has used stays used."""
    now = now or timezone.now()
    chosen = Plan.objects.filter(name=plan).first()
    if chosen is None:
        known = ", ".join(Plan.objects.values_list("name", flat=True))
        raise InvalidAmount(f"there is no plan {plan!r}. Plans: {known}")
    with transaction.atomic():
        account = ensure_account(user_id=user_id, now=now)
        if account.plan_id != chosen.pk:
            account.plan = chosen
            account.save(update_fields=["plan"])
        plans.sync_user(account, now=now)
    return account


def set_timezone(*, user_id: int, timezone_name: str, now: datetime | None = None) -> Account:
    """Move the user's days to another zone. Running periods end where they would have ended."""
    check_timezone(timezone_name)
    with transaction.atomic():
        account = ensure_account(user_id=user_id, now=now)
        account.timezone = timezone_name
        account.save(update_fields=["timezone"])
        personal = Budget.objects.filter(
            scope_kind__in=(ScopeKind.USER, ScopeKind.OWN), scope_id=str(user_id)
        )
        personal.update(timezone=timezone_name)
    return account


def join_group(*, user_id: int, group: BillingGroup | None) -> None:
    """Make ``group`` the user's one billing group; None leaves it."""
    with transaction.atomic():
        if group is None:
            GroupMember.objects.filter(user_id=user_id).delete()
        else:
            GroupMember.objects.update_or_create(user_id=user_id, defaults={"group": group})
