"""The doors on usage: sums and entries. Only rollups and entries are read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing import usage_queries
from billing.accounts import payer
from billing.entry_lists import EntriesAsked, entries_page
from billing.errors import InvalidAmount
from billing.periods import local_day
from billing.usage_queries import Asked, UsageRow
from conversations.api.base import RestView
from conversations.api.problems import Problem
from conversations.api.schema import problems
from conversations.api.usage_serializers import (
    ROWS_LIMIT,
    EntriesQuery,
    EntryListSerializer,
    UsageQuery,
    UsageSerializer,
    UsageSummarySerializer,
)

TAGS = ["usage"]
SEE_ALL = "billing.view_usagerollup"
STEPS = ("day", "week", "month")
DEFAULT_DAYS = 30
REFUSED = problems("malformed", "permission_denied")


class UsageView(RestView):
    @extend_schema(
        operation_id="read_usage",
        tags=TAGS,
        parameters=[UsageQuery],
        responses={200: UsageSerializer, **REFUSED},
    )
    def get(self, request: Request) -> Response:
        """Sums over days, by day, week, month, model, provider, conversation, kind or purpose; with the
        permission by user and group too.
        """
        fields = self.read(UsageQuery, query=True)
        asked = usage_asked(self.user, fields)
        body = {
            "from": asked.first_day,
            "to": asked.last_day,
            "group_by": fields["group_by"],
            "total": usage_queries.totals(asked),
            "results": [{"key": str(row.key), "usage": row.usage} for row in usage_rows(asked, fields)],
        }
        return Response(UsageSerializer(body).data)


class UsageSummaryView(RestView):
    @extend_schema(
        operation_id="read_usage_summary", tags=TAGS, responses={200: UsageSummarySerializer, **problems()}
    )
    def get(self, request: Request) -> Response:
        """Today, this week and this month, each beside as much of the one before."""
        return Response(UsageSummarySerializer(usage_queries.summary(self.user.pk)).data)


class EntriesView(RestView):
    @extend_schema(
        operation_id="list_usage_entries",
        tags=TAGS,
        parameters=[EntriesQuery],
        responses={200: EntryListSerializer, **REFUSED},
    )
    def get(self, request: Request) -> Response:
        """Ledger entries, newest day first, page by page. Without `from` and `to`: all there are."""
        fields = self.read(EntriesQuery, query=True)
        asked = entries_asked(self.user, fields, bounded=False)
        try:
            page = entries_page(asked, after=fields["cursor"], limit=fields["limit"])
        except InvalidAmount as error:
            raise Problem("malformed", "This cursor is none of ours. Begin without one.") from error
        following = None
        if page.next_cursor is not None:
            query = {**request.query_params.dict(), "cursor": page.next_cursor}
            following = f"{request.build_absolute_uri(request.path)}?{urlencode(query)}"
        return Response(EntryListSerializer({"next": following, "results": page.entries}).data)


def must_see_all(user: User) -> None:
    if not user.has_perm(SEE_ALL):
        raise Problem("permission_denied", "You may see your own usage only.")


def _whose(user: User, fields: dict[str, Any]) -> dict[str, Any]:
    """The filters on people: one's own, unless others are asked for and may be."""
    others = {"user_id": fields.get("user"), "group_id": fields.get("group")}
    asks_for_all = fields["scope"] == "all" or fields.get("group_by") in ("user", "group")
    if asks_for_all or any(one is not None for one in others.values()):
        must_see_all(user)
        return others
    return {"user_id": user.pk, "group_id": None}


def _filters(user: User, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        **_whose(user, fields),
        "conversation_id": fields.get("conversation"),
        "model": fields.get("model"),
        "provider": fields.get("provider"),
        "kind": fields.get("kind"),
        "purpose": fields.get("purpose"),
    }


def usage_asked(user: User, fields: dict[str, Any]) -> Asked:
    """Whose usage of which days; refused where others are asked for without the permission."""
    filters = _filters(user, fields)
    now = timezone.now()
    last = fields.get("to") or local_day(payer(user.pk, now=now).timezone, now)
    try:
        first = fields.get("from") or last - timedelta(days=DEFAULT_DAYS - 1)
        return Asked(first_day=first, last_day=last, **filters)
    except (InvalidAmount, OverflowError) as error:
        raise Problem("malformed", "from and to are no such range of days.") from error


def entries_asked(user: User, fields: dict[str, Any], *, bounded: bool = True) -> EntriesAsked:
    """``bounded``: with the default range where none is given."""
    days: dict[str, Any] = {"first_day": fields.get("from"), "last_day": fields.get("to")}
    if bounded:
        asked = usage_asked(user, fields)
        days = {"first_day": asked.first_day, "last_day": asked.last_day}
    return EntriesAsked(
        **days,
        **_filters(user, fields),
        entry_kind=fields.get("entry_kind"),
        bearer=fields.get("bearer"),
        estimated=fields.get("estimated"),
    )


def usage_rows(asked: Asked, fields: dict[str, Any]) -> list[UsageRow]:
    group_by = fields["group_by"]
    if group_by in STEPS:
        return usage_queries.series(asked, group_by)
    return usage_queries.by(asked, group_by, limit=fields.get("limit", ROWS_LIMIT))
