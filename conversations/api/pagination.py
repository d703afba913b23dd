"""Paging of lists: by key, so that a page stays right while others are added."""

from __future__ import annotations

from typing import Any

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from conversations.api.problems import Problem

# drf-spectacular finds these by itself only where errors are not declared.
PAGE_PARAMETERS = [
    OpenApiParameter("cursor", str, description="From `next` or `previous` of another page."),
    OpenApiParameter("limit", int, description="Conversations to return, at most 200."),
]


class ConversationPagination(CursorPagination):
    """Most recently used first. ``limit`` above the maximum means the maximum."""

    ordering = ("-updated_at", "-id")
    page_size = 50
    max_page_size = 200
    page_size_query_param = "limit"

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor: Cursor | None = super().decode_cursor(request)
            position: Any = None if cursor is None else cursor.position
            if position is not None and not parse_datetime(position):
                raise ValueError(position)
        except (NotFound, ValueError) as error:
            raise Problem("malformed", "This cursor is none of ours. Begin without one.") from error
        return cursor

    def get_page_size(self, request: Request) -> int | None:
        text = request.query_params.get(self.page_size_query_param or "")
        if text is not None and not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
            raise Problem("malformed", "The query parameter limit is a number from 1.")
        return super().get_page_size(request)
