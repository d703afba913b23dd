"""The door on usage as CSV, streamed: a query for every few hundred entries, while the client reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request

from billing import usage_queries
from billing.entry_lists import EntriesAsked, entries_page
from billing.receipts import usd
from billing.usage_queries import Asked
from conversations.api.base import RestView
from conversations.api.usage_serializers import EntrySerializer, ExportQuery
from conversations.api.usage_views import REFUSED, TAGS, entries_asked, usage_asked, usage_rows
from conversations.database import in_database
from conversations.usage.csv_files import CONTENT_TYPE, csv_lines
from conversations.usage.entry_rows import conversation_titles

EXPORTED_AT_ONCE = 500
_ENTRY_COLUMNS = tuple(str(name) for name in EntrySerializer().get_fields() if str(name) != "cost_usd")
_SUM_COLUMNS = (
    *("calls", "estimated_calls", "unpriced_calls", "input_tokens", "cache_read_tokens"),
    *("output_tokens", "thinking_tokens", "total_tokens"),
)
_NAMES = (*(name.replace("cache_read", "cached") for name in _SUM_COLUMNS), "cost_usd")


class UsageExportView(RestView):
    @extend_schema(
        operation_id="export_usage",
        tags=TAGS,
        parameters=[ExportQuery],
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, description="With a header line."),
            **REFUSED,
        },
    )
    async def get(self, request: Request) -> StreamingHttpResponse:
        """The same as CSV: grouped as `usage/` with `group_by`, else every entry. Cells that a spreadsheet
        would run as a formula are made text.
        """
        fields = self.read(ExportQuery, query=True)
        if "group_by" in fields:
            asked = await in_database(usage_asked, self.user, fields)
            lines = [await in_database(_grouped_csv, self.user, asked, fields)]
            chunks = _all_of(lines)
        else:
            chunks = _entry_chunks(await in_database(entries_asked, self.user, fields))
        response = StreamingHttpResponse(chunks, content_type=CONTENT_TYPE)
        response["Content-Disposition"] = (
            f'attachment; filename="usage-{fields.get("group_by", "entries")}.csv"'
        )
        return response


def _grouped_csv(user: User, asked: Asked, fields: dict[str, Any]) -> str:
    rows = usage_rows(asked, fields)
    is_chats = fields["group_by"] == "conversation"
    titles = conversation_titles(user, (row.key for row in rows)) if is_chats else {}
    head = [
        fields["group_by"],
        *(["title"] if is_chats else []),
        *_NAMES,
        *(f"house_{name}" for name in _NAMES),
    ]
    return csv_lines(
        [
            head,
            *(
                [
                    str(row.key),
                    *([titles.get(row.key, "")] if is_chats else []),
                    *_figures(row.usage.billed),
                    *_figures(row.usage.house),
                ]
                for row in rows
            ),
        ]
    )


def _figures(sums: usage_queries.Sums) -> list[object]:
    """Money as a number: a spreadsheet is to add it up."""
    return [*(getattr(sums, column) for column in _SUM_COLUMNS), Decimal(usd(sums.cost_nanousd) or "0")]


async def _all_of(lines: list[str]) -> AsyncIterator[bytes]:
    for line in lines:
        yield line.encode()


async def _entry_chunks(asked: EntriesAsked) -> AsyncIterator[bytes]:
    """A query for every 500 entries, while the client reads."""
    yield csv_lines([(*_ENTRY_COLUMNS, "cost_usd")]).encode()
    cursor: str | None = ""
    while cursor is not None:
        page = await in_database(entries_page, asked, after=cursor, limit=EXPORTED_AT_ONCE)
        yield csv_lines(_entry_line(entry) for entry in page.entries).encode()
        cursor = page.next_cursor


def _entry_line(entry: Any) -> list[object]:
    data = EntrySerializer(entry).data
    cost = data["cost_usd"]
    return [*(data[name] for name in _ENTRY_COLUMNS), None if cost is None else Decimal(cost)]
