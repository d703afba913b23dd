"""Users in the admin, as Django has them, and a link for whoever has forgotten the password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache

from conversations.password_links import base_of, link_for

if TYPE_CHECKING:  # generic for the type checker only
    _UserAdmin = UserAdmin[User]
else:
    _UserAdmin = UserAdmin

LINKS_AT_MOST = 20


class PeopleAdmin(_UserAdmin):
    actions = ["make_password_links"]

    @admin.action(description="Make links for new passwords", permissions=["change"])
    def make_password_links(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """Shown once, in the answer itself. Who is no superuser opens no superuser's account by it."""
        people = queryset.filter(is_active=True).order_by("username")
        if not request.user.is_superuser:
            people = people.filter(is_superuser=False)
        found = [one for one in people[: LINKS_AT_MOST + 1] if one.has_usable_password()]
        if not found or len(found) > LINKS_AT_MOST:
            words = f"Links are made for people who may sign in by password, up to {LINKS_AT_MOST} at once."
            self.message_user(request, words, messages.ERROR)
            return None
        LogEntry.objects.log_actions(
            int(request.user.pk or 0), found, CHANGE, "Made a link for a new password.", single_object=False
        )
        base = base_of(request)
        context = {
            **self.admin_site.each_context(request),
            "title": "Links for new passwords",
            "opts": self.model._meta,
            "links": [(one.get_username(), link_for(one, base)) for one in found],
        }
        return _shown(request, context)


@never_cache
def _shown(request: HttpRequest, context: dict[str, object]) -> HttpResponse:
    return TemplateResponse(request, "monitoring/password_links.html", context)


admin.site.unregister(User)
admin.site.register(User, PeopleAdmin)
