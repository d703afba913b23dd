"""Asking for more, and an admin's answer to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing import budgets, prices
from billing.errors import BudgetExceeded, InvalidAmount
from billing.fitting import units_needed
from billing.holds import HoldRequest
from billing.models import Budget, LimitRequest, RequestState, ScopeKind
from billing.models.budget import MAX_LIMIT_UNITS

REASON_CHARACTERS = 500
TOLD_FOR = timedelta(days=14)


def ask_for_more(
    *, user_id: int, budget_id: int, wanted_units: int, reason: str = "", now: datetime | None = None
) -> LimitRequest:
    """Ask for a higher limit of a budget of one's own, in its unit. Asking again changes what is pending.

    Raises InvalidAmount for a budget that is not the user's or has no limit, and unless more is wanted.
    """
    now = now or timezone.now()
    with transaction.atomic():
        budget = Budget.objects.select_for_update().filter(pk=budget_id).first()
        if budget is None or (budget.scope_kind, budget.scope_id) != (ScopeKind.USER, str(user_id)):
            raise InvalidAmount("there is no such budget of yours")
        if budget.limit_units is None or (budget.valid_to is not None and budget.valid_to <= now):
            raise InvalidAmount("this budget does not limit you")
        if type(wanted_units) is not int or not budget.limit_units < wanted_units <= MAX_LIMIT_UNITS:
            raise InvalidAmount("ask for more than you have")
        wish, _ = LimitRequest.objects.update_or_create(
            budget=budget,
            state=RequestState.PENDING,
            defaults={
                "user_id": user_id,
                "limit_units": budget.limit_units,
                "wanted_units": wanted_units,
                "reason": " ".join(reason.split())[:REASON_CHARACTERS],
                "created_at": now,
            },
        )
    return wish


def recent_requests(user_id: int, *, now: datetime | None = None) -> dict[int, LimitRequest]:
    """By budget the last thing that the user has asked for, while it waits and for ``TOLD_FOR`` after its
    answer; without what was taken back.
    """
    since = (now or timezone.now()) - TOLD_FOR
    told = Q(state=RequestState.PENDING) | Q(
        state__in=(RequestState.APPROVED, RequestState.DECLINED), decided_at__gte=since
    )
    found = LimitRequest.objects.filter(told, user_id=user_id).order_by("created_at", "pk")
    return {wish.budget_id: wish for wish in found}


def requests_before(
    before_id: int | None, *, user_id: int | None = None, state: str | None = None, limit: int
) -> list[LimitRequest]:
    """At most ``limit`` requests with their budgets, newest first; None: no bound."""
    found = LimitRequest.objects.select_related("budget").order_by("-pk")
    if before_id is not None:
        found = found.filter(pk__lt=before_id)
    if user_id is not None:
        found = found.filter(user_id=user_id)
    if state is not None:
        found = found.filter(state=state)
    return list(found[:limit])


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to ask for so that a refused call would be let through at its full length; a round figure."""

    budget: Budget
    wanted_units: int


def suggestion(
    refusal: BudgetExceeded, request: HoldRequest, *, now: datetime | None = None
) -> Suggestion | None:
    """None where asking would not help: the budget is no limit of the user's own that others have set."""
    name = refusal.budget
    if name.scope != ScopeKind.USER or name.scope_id != str(request.user_id):
        return None
    now = now or timezone.now()
    budget = Budget.objects.filter(
        Q(valid_to__isnull=True) | Q(valid_to__gt=now),
        scope_kind=name.scope,
        scope_id=name.scope_id,
        unit=name.unit,
        period=name.period,
        model=name.model,
        limit_units__isnull=False,
    ).first()
    if budget is None:
        return None
    rates = prices.rates(request.model, input_tokens=request.input_tokens, now=now)
    whole = units_needed(name.unit, rates, request.input_tokens, request.wanted_output_tokens)
    wanted = _rounded_up(refusal.used + refusal.held + max(whole, refusal.needed))
    return Suggestion(budget, wanted) if wanted <= MAX_LIMIT_UNITS else None


def _rounded_up(units: int) -> int:
    """To two significant digits."""
    step: int = 10 ** max(len(str(units)) - 2, 0)
    return -(-units // step) * step


def approve(request_id: int, *, actor_id: int, now: datetime | None = None) -> bool:
    """Give what was asked for: the limit is set by hand from now on. False where it is not pending.

    A limit that is gone, or as high by now, stays as it is.
    """
    now = now or timezone.now()
    with transaction.atomic():
        if not _decide(request_id, RequestState.APPROVED, actor_id=actor_id, now=now):
            return False
        wish = LimitRequest.objects.select_related("budget").get(pk=request_id)
        budget = Budget.objects.select_for_update().get(pk=wish.budget_id)
        running = budget.valid_to is None or budget.valid_to > now
        if running and budget.limit_units is not None and budget.limit_units < wish.wanted_units:
            budgets.set_budget(
                scope=budget.scope_kind,
                scope_id=int(budget.scope_id),
                unit=budget.unit,
                period=budget.period,
                model=budget.model,
                limit_units=wish.wanted_units,
                hard=budget.hard,
                now=now,
            )
    return True


def decline(request_id: int, *, actor_id: int, now: datetime | None = None) -> bool:
    """Leave the limit as it is. False where the request is not pending."""
    return _decide(request_id, RequestState.DECLINED, actor_id=actor_id, now=now or timezone.now())


def withdraw(request_id: int, *, user_id: int, now: datetime | None = None) -> bool:
    """Take one's own request back. False where there is none such pending."""
    own = LimitRequest.objects.filter(pk=request_id, user_id=user_id).exists()
    return own and _decide(request_id, RequestState.WITHDRAWN, actor_id=user_id, now=now or timezone.now())


def _decide(request_id: int, state: RequestState, *, actor_id: int, now: datetime) -> bool:
    """Two admins may click at once: the one who changes the state has decided."""
    pending = LimitRequest.objects.filter(pk=request_id, state=RequestState.PENDING)
    return pending.update(state=state, decided_at=now, decided_by=actor_id) == 1
