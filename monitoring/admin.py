from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from monitoring import bills_admin, dashboard_admin, people_admin
from monitoring.models import BooksCheck, Incident, Notice

__all__ = ["bills_admin", "dashboard_admin", "people_admin"]

if TYPE_CHECKING:  # generic for the type checker only
    _IncidentAdmin = admin.ModelAdmin[Incident]
    _BooksCheckAdmin = admin.ModelAdmin[BooksCheck]
    _NoticeInline = admin.TabularInline[Notice, Incident]
else:
    _IncidentAdmin = _BooksCheckAdmin = admin.ModelAdmin
    _NoticeInline = admin.TabularInline


class ReadOnly:
    """What the site has noted is looked at, never edited."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class NoticeInline(ReadOnly, _NoticeInline):
    model = Notice
    fields = ["channel", "kind", "created_at", "notified_at", "tries", "last_error"]
    extra = 0


@admin.register(Incident)
class IncidentAdmin(ReadOnly, _IncidentAdmin):
    list_display = ["title", "rule", "subject", "opened_at", "closed_at", "is_over"]
    list_filter = ["rule", ("closed_at", admin.EmptyFieldListFilter)]
    search_fields = ["title", "subject"]
    date_hierarchy = "opened_at"
    ordering = ["-opened_at"]
    inlines = [NoticeInline]

    @admin.display(boolean=True, description="over", ordering="closed_at")
    def is_over(self, incident: Incident) -> bool:
        return not incident.is_open


@admin.register(BooksCheck)
class BooksCheckAdmin(ReadOnly, _BooksCheckAdmin):
    list_display = ["checked_at", "seconds", "right", "failed"]
    ordering = ["-checked_at"]

    @admin.display(boolean=True)
    def right(self, check: BooksCheck) -> bool:
        return not check.failed
