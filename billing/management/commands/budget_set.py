from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.budgets import set_budget
from billing.errors import InvalidAmount
from billing.models import BillingGroup, Period, ScopeKind, Unit
from billing.models.budget import MAX_LIMIT_UNITS

NANOUSD_PER_USD = 10**9


class Command(BaseCommand):
    help = "Sets a budget by hand. It replaces the plan's one for the same unit, period and model."

    def add_arguments(self, parser: CommandParser) -> None:
        scope = parser.add_mutually_exclusive_group(required=True)
        scope.add_argument("--user", metavar="NAME", help="a user's name")
        scope.add_argument("--group", metavar="NAME", help="a billing group's name")
        scope.add_argument("--conversation", metavar="UUID", help="a conversation's id")
        scope.add_argument("--everyone", action="store_true", help="one budget shared by the whole site")
        parser.add_argument("--model", metavar="PROVIDER:NAME", help="only this model (default: all)")
        parser.add_argument("--unit", required=True, choices=["tokens", "usd"])
        parser.add_argument("--limit", required=True, metavar="N", help='an amount in the unit, or "none"')
        parser.add_argument("--period", required=True, choices=list(Period.values))
        parser.add_argument("--soft", action="store_true", help="warn only, never refuse")
        parser.add_argument("--timezone", metavar="ZONE", help="where its days begin, as Europe/Berlin")

    def handle(self, *args: Any, **options: Any) -> None:
        scope, scope_id = _scope(options)
        try:
            budget = set_budget(
                scope=scope,
                scope_id=scope_id,
                model=options["model"],
                unit=Unit.TOKENS if options["unit"] == "tokens" else Unit.NANOUSD,
                limit_units=_limit(options["unit"], options["limit"]),
                period=options["period"],
                hard=not options["soft"],
                timezone_name=options["timezone"],
            )
        except InvalidAmount as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"Set: {budget} ({'hard' if budget.hard else 'soft'}, {budget.timezone})")


def _scope(options: dict[str, Any]) -> tuple[str, int | UUID | None]:
    if options["user"]:
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        return ScopeKind.USER, user.pk
    if options["group"]:
        group = BillingGroup.objects.filter(name=options["group"]).first()
        if group is None:
            known = ", ".join(BillingGroup.objects.order_by("name").values_list("name", flat=True)[:20])
            raise CommandError(f"There is no billing group {options['group']!r}. Groups: {known or 'none'}.")
        return ScopeKind.GROUP, group.pk
    if options["conversation"]:
        try:
            return ScopeKind.CONVERSATION, UUID(options["conversation"])
        except ValueError:
            raise CommandError(f"{options['conversation']!r} is not a conversation's id.") from None
    return ScopeKind.EVERYONE, None


def _limit(unit: str, text: str) -> int | None:
    """The limit in tokens or nano-USD; None for "none"."""
    if text.lower() == "none":
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise CommandError(f"{text!r} is not an amount.") from None
    if not amount.is_finite():
        raise CommandError(f"{text!r} is not an amount.")
    if amount < 0:
        raise CommandError(f"A limit cannot be negative: {text}.")
    units = amount if unit == "tokens" else amount * NANOUSD_PER_USD
    if units > MAX_LIMIT_UNITS:
        raise CommandError(f"A limit of {text} {unit} is beyond what can be counted; use none for no limit.")
    if units != units.to_integral_value():
        raise CommandError(f"{text} {unit} is finer than the ledger counts.")
    return int(units)
