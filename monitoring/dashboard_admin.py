"""The door on the usage dashboard, inside the admin, for those who may see the usage of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils import timezone

from billing.models import UsageRollup
from conversations.usage.csv_files import CONTENT_TYPE, csv_lines
from monitoring.dashboard import dashboard, requests_address, table_for_csv

if TYPE_CHECKING:  # generic for the type checker only
    _ModelAdmin = admin.ModelAdmin[UsageRollup]
else:
    _ModelAdmin = admin.ModelAdmin


@admin.register(UsageRollup)
class UsageAdmin(_ModelAdmin):
    """Its list is the dashboard: single rollups mean nothing to anybody."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("", view(self.changelist_view), name="billing_usagerollup_changelist"),
            path("csv/<slug:key>/", view(self.csv_view), name="usage_dashboard_csv"),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        found = dashboard(self._viewer(request), request.GET, now=timezone.now())
        context = {
            **self.admin_site.each_context(request),
            **found,
            "title": "Usage",
            "requests_address": requests_address(),
            "query": request.GET.urlencode(),
        }
        return render(request, "monitoring/dashboard.html", context)

    def csv_view(self, request: HttpRequest, key: str) -> HttpResponse:
        table = table_for_csv(self._viewer(request), key, request.GET, now=timezone.now())
        if table is None:
            raise Http404
        response = HttpResponse(csv_lines(table.csv_rows()), content_type=CONTENT_TYPE)
        response["Content-Disposition"] = f'attachment; filename="{key}.csv"'
        return response

    def _viewer(self, request: HttpRequest) -> User:
        if not self.has_view_permission(request) or not isinstance(request.user, User):
            raise PermissionDenied
        return request.user
