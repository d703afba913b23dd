"""Doors on requests for more of a budget: ask, take back, and for admins with the permission answer."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from billing import limit_requests
from billing.errors import InvalidAmount
from billing.models import Budget, LimitRequest, ScopeKind, Unit
from conversations.api.base import RestView
from conversations.api.budget_serializers import (
    LimitRequestListSerializer,
    LimitRequestOrderSerializer,
    LimitRequestSerializer,
    LimitRequestsQuery,
)
from conversations.api.budget_views import amount, invalid_amount
from conversations.api.problems import Problem
from conversations.api.schema import WRITE, problems
from conversations.exceptions import Conflict, NotFound
from conversations.usage.budget_rows import read_amount

TAGS = ["budgets"]
VIEW, DECIDE = "billing.view_limitrequest", "billing.change_limitrequest"


class LimitRequestsView(RestView):
    @extend_schema(
        operation_id="list_limit_requests",
        tags=TAGS,
        parameters=[LimitRequestsQuery],
        responses={200: LimitRequestListSerializer, **problems("malformed", "permission_denied")},
    )
    def get(self, request: Request) -> Response:
        """What you have asked for, the newest first; with the permission also what everybody has."""
        query = self.read(LimitRequestsQuery, query=True)
        if query["scope"] == "all" and not _may_see(self.user):
            raise Problem("permission_denied", "You may see your own requests only.")
        found = limit_requests.requests_before(
            query.get("before"),
            user_id=None if query["scope"] == "all" else self.user.pk,
            state=query.get("state"),
            limit=query["limit"] + 1,
        )
        page, older = found[: query["limit"]], None
        if len(found) > len(page):
            older = replace_query_param(request.build_absolute_uri(), "before", page[-1].pk)
        body = {"next": older, "results": [_data(one) for one in page]}
        return Response(LimitRequestListSerializer(body).data)

    @extend_schema(
        operation_id="ask_for_more",
        tags=TAGS,
        request=LimitRequestOrderSerializer,
        responses={201: LimitRequestSerializer, **problems(*WRITE, "not_found")},
    )
    def post(self, request: Request) -> Response:
        """Ask an admin for a higher limit of one of your budgets (scope `user`). Asking again changes what
        waits. The options of a refused message have `budget_id` and `wanted`.
        """
        fields = self.read(LimitRequestOrderSerializer)
        budget = Budget.objects.filter(
            pk=fields["budget_id"], scope_kind=ScopeKind.USER, scope_id=str(self.user.pk)
        ).first()
        if budget is None:
            raise NotFound("This budget of yours")
        try:
            wish = limit_requests.ask_for_more(
                user_id=self.user.pk,
                budget_id=budget.pk,
                wanted_units=read_amount(fields["wanted"], budget.unit),
                reason=fields["reason"],
            )
        except InvalidAmount as error:
            raise invalid_amount("wanted", error) from error
        return _answer(wish.pk, status=201)


class LimitRequestView(RestView):
    @extend_schema(
        operation_id="read_limit_request",
        tags=TAGS,
        responses={200: LimitRequestSerializer, **problems("not_found")},
    )
    def get(self, request: Request, request_id: int) -> Response:
        """One request: yours, or with the permission anybody's."""
        find_request(self.user, request_id)
        return _answer(request_id)

    @extend_schema(
        operation_id="withdraw_limit_request",
        tags=TAGS,
        responses={204: None, **problems("csrf_failed", "not_found", "already_decided")},
    )
    def delete(self, request: Request, request_id: int) -> Response:
        """Take back what you have asked for."""
        wish = LimitRequest.objects.filter(pk=request_id, user_id=self.user.pk).first()
        if wish is None:
            raise NotFound("This request")
        if not limit_requests.withdraw(request_id, user_id=self.user.pk):
            raise _decided()
        return Response(status=204)


DECIDED = {
    200: LimitRequestSerializer,
    **problems("csrf_failed", "permission_denied", "not_found", "already_decided"),
}


class ApproveView(RestView):
    @extend_schema(operation_id="approve_limit_request", tags=TAGS, request=None, responses=DECIDED)
    def post(self, request: Request, request_id: int) -> Response:
        """Give what was asked for; the limit holds from now on. Needs the permission."""
        _must_decide(self.user, request_id)
        if not limit_requests.approve(request_id, actor_id=self.user.pk):
            raise _decided()
        return _answer(request_id)


class DeclineView(RestView):
    @extend_schema(operation_id="decline_limit_request", tags=TAGS, request=None, responses=DECIDED)
    def post(self, request: Request, request_id: int) -> Response:
        """Leave the limit as it is. Needs the permission."""
        _must_decide(self.user, request_id)
        if not limit_requests.decline(request_id, actor_id=self.user.pk):
            raise _decided()
        return _answer(request_id)


def find_request(user: User, request_id: int) -> LimitRequest:
    """One's own, or with the permission anybody's. Raises NotFound, also for what one may not see."""
    wish = LimitRequest.objects.select_related("budget").filter(pk=request_id).first()
    if wish is None or (wish.user_id != user.pk and not _may_see(user)):
        raise NotFound("This request")
    return wish


def _may_see(user: User) -> bool:
    return user.has_perm(VIEW) or user.has_perm(DECIDE)


def _must_decide(user: User, request_id: int) -> None:
    find_request(user, request_id)
    if not user.has_perm(DECIDE):
        raise Problem("permission_denied", "An admin answers requests.")


def _decided() -> Conflict:
    return Conflict("already_decided", "This request has been answered, or taken back, already.")


def _answer(request_id: int, *, status: int = 200) -> Response:
    wish = LimitRequest.objects.select_related("budget").get(pk=request_id)
    return Response(LimitRequestSerializer(_data(wish)).data, status=status)


def _data(wish: LimitRequest) -> dict[str, Any]:
    budget = wish.budget
    return {
        "id": wish.pk,
        "user_id": wish.user_id,
        "budget_id": budget.pk,
        "unit": "usd" if budget.unit == Unit.NANOUSD else "tokens",
        "period": budget.period,
        "model": budget.model,
        "limit": amount(budget.unit, wish.limit_units),
        "wanted": amount(budget.unit, wish.wanted_units),
        "reason": wish.reason,
        "state": wish.state,
        "created_at": wish.created_at,
        "decided_at": wish.decided_at,
    }
