"""Admin pages that stay fast on ten million rows: bounded counts, searches by index alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from billing.admin.people import numbers_named

COUNTED_AT_MOST = 10_000

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[Any]
    _Paginator = Paginator[Any]
else:
    _ModelAdmin = admin.ModelAdmin
    _Paginator = Paginator


class BoundedPaginator(_Paginator):
    """Counts no further than ``COUNTED_AT_MOST``: older rows are found by search, not by paging."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the admin always passes one
        # In the order of the list: its index bounds what is read where few rows match.
        return rows[:COUNTED_AT_MOST].count()


class FactAdmin(_ModelAdmin):
    """Rows that the ledger writes and nobody edits. ``search_columns`` must be indexed."""

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    actions: Any = None
    # Anything non-empty shows the search box; what is searched says get_search_results.
    search_fields = ["pk"]
    search_numbers: tuple[str, ...] = ()
    search_uuids: tuple[str, ...] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """An exact number, UUID or name in one of the searched columns; anything else finds nothing."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(pk__in=[])
        if term.isascii() and term.isdigit() and len(term) < 19:
            for column in self.search_numbers:
                wanted |= Q(**{column: int(term)})
        else:
            try:
                key = UUID(term)
            except ValueError:
                if "user_id" not in self.search_numbers:
                    return queryset.none(), False
                return queryset.filter(user_id__in=numbers_named(term)), False
            for column in self.search_uuids:
                wanted |= Q(**{column: key})
        return queryset.filter(wanted), False
