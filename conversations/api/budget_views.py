"""Doors on budgets: what is left, and limits of one's own."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing import own_limits
from billing.accounts import payer
from billing.errors import InvalidAmount
from billing.models import Unit
from billing.receipts import usd
from conversations.api.base import RestView
from conversations.api.budget_serializers import (
    BudgetListSerializer,
    BudgetSerializer,
    BudgetsQuery,
    OwnLimitSerializer,
)
from conversations.api.problems import Problem
from conversations.api.schema import WRITE, problems
from conversations.api.usage_views import REFUSED, must_see_all
from conversations.exceptions import NotFound
from conversations.usage.budget_rows import BudgetRow, budget_rows, read_amount

TAGS = ["budgets"]


class BudgetsView(RestView):
    @extend_schema(
        operation_id="list_budgets",
        tags=TAGS,
        parameters=[BudgetsQuery],
        responses={200: BudgetListSerializer, **REFUSED, **problems("not_found")},
    )
    def get(self, request: Request) -> Response:
        """The limited budgets that you meet, with what is left and how long it lasts at this pace."""
        fields = self.read(BudgetsQuery, query=True)
        user_id = self.user.pk
        if "user" in fields:
            must_see_all(self.user)
            if not User.objects.filter(pk=fields["user"]).exists():
                raise Problem("not_found", "There is no such user.")
            user_id = fields["user"]
        return Response(BudgetListSerializer({"results": [_budget(row) for row in _rows(user_id)]}).data)

    @extend_schema(
        operation_id="set_own_limit",
        tags=TAGS,
        request=OwnLimitSerializer,
        responses={201: BudgetSerializer, **problems(*WRITE)},
    )
    def post(self, request: Request) -> Response:
        """Set a limit of your own (scope `own`), below the one that you were given; it holds from now on,
        for the running period too. One with the same unit and period is replaced.
        """
        fields = self.read(OwnLimitSerializer)
        unit = Unit.NANOUSD if fields["unit"] == "usd" else Unit.TOKENS
        try:
            budget = own_limits.set_own_limit(
                user_id=self.user.pk,
                unit=unit,
                period=fields["period"],
                limit_units=read_amount(fields["limit"], unit),
            )
        except InvalidAmount as error:
            raise invalid_amount("limit", error) from error
        [row] = [row for row in _rows(self.user.pk) if row.meter.budget_id == budget.pk]
        return Response(BudgetSerializer(_budget(row)).data, status=201)


class BudgetView(RestView):
    @extend_schema(
        operation_id="remove_own_limit",
        tags=TAGS,
        responses={204: None, **problems("csrf_failed", "not_found")},
    )
    def delete(self, request: Request, budget_id: int) -> Response:
        """Remove a limit of your own. What others have set for you cannot be removed: 404."""
        if not own_limits.remove_own_limit(user_id=self.user.pk, budget_id=budget_id):
            raise NotFound("This limit of your own")
        return Response(status=204)


def invalid_amount(field: str, error: InvalidAmount) -> Problem:
    text = str(error)
    sentence = f"{text[:1].upper()}{text[1:]}."
    return Problem("invalid", sentence, errors={field: [sentence]})


def amount(unit: str, units: int | None) -> int | str | None:
    """Tokens, or US dollars as a decimal string."""
    return usd(units) if unit == Unit.NANOUSD else units


def _rows(user_id: int) -> list[BudgetRow]:
    now = timezone.now()
    return budget_rows(user_id=user_id, zone=payer(user_id, now=now).timezone, now=now)


def _budget(row: BudgetRow) -> dict[str, Any]:
    meter = row.meter

    return {
        "id": meter.budget_id,
        "scope": meter.scope,
        "unit": "usd" if meter.is_money else "tokens",
        "period": meter.period,
        "model": meter.model,
        "hard": meter.hard,
        "used": amount(meter.unit, meter.used),
        "held": amount(meter.unit, meter.held),
        "limit": amount(meter.unit, meter.limit),
        "remaining": amount(meter.unit, meter.remaining),
        "percent": meter.percent,
        "level": meter.level,
        "resets_at": meter.resets_at,
        "forecast": row.forecast,
    }
