"""Requests for more, answered with one click in the list."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from billing import limit_requests
from billing.admin.base import FactAdmin
from billing.admin.people import NamesPeople
from billing.amounts import amount_words
from billing.models import LimitRequest, RequestState


def _admin(request: HttpRequest) -> int:
    number = request.user.pk
    assert number is not None, "the admin asks everybody to sign in"
    return number


@admin.register(LimitRequest)
class LimitRequestAdmin(NamesPeople, FactAdmin):
    list_display = ["created_at", "person", "has", "wants", "per", "reason", "state", "answer"]
    list_filter = ["state"]
    list_select_related = ["budget"]
    ordering = ["-pk"]
    search_help_text = "A user's name or number."
    search_numbers = ("user_id",)
    actions = ["approve_selected", "decline_selected"]

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """For the buttons and actions of the list; a single request is only looked at."""
        return obj is None and bool(request.user.has_perm("billing.change_limitrequest"))

    @admin.display(description="has")
    def has(self, wish: LimitRequest) -> str:
        return amount_words(wish.budget.unit, wish.limit_units)

    @admin.display(description="wants")
    def wants(self, wish: LimitRequest) -> str:
        return amount_words(wish.budget.unit, wish.wanted_units)

    @admin.display(description="per")
    def per(self, wish: LimitRequest) -> str:
        of_model = f" ({wish.budget.model})" if wish.budget.model else ""
        return f"{wish.budget.get_period_display()}{of_model}"

    @admin.display(description="answer")
    def answer(self, wish: LimitRequest) -> str | SafeString:
        """Buttons of the list's own form, which carries the CSRF token."""
        if wish.state != RequestState.PENDING:
            return ""
        return format_html(
            '<button class="button" formaction="{}">Approve</button> '
            '<button class="button" formaction="{}">Decline</button>',
            reverse("admin:billing_limitrequest_approve", args=[wish.pk]),
            reverse("admin:billing_limitrequest_decline", args=[wish.pk]),
        )

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/approve/", view(self.approve), name="billing_limitrequest_approve"),
            path("<int:pk>/decline/", view(self.decline), name="billing_limitrequest_decline"),
            *super().get_urls(),
        ]

    def approve(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, limit_requests.approve, "Approved. The limit holds from now on.")

    def decline(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._decide(request, pk, limit_requests.decline, "Declined. The limit stays as it is.")

    def _decide(self, request: HttpRequest, pk: int, verb: Any, done: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_change_permission(request):
            raise PermissionDenied
        if verb(pk, actor_id=_admin(request)):
            self.message_user(request, done, messages.SUCCESS)
        else:
            self.message_user(request, "This request has been answered already.", messages.WARNING)
        return redirect("admin:billing_limitrequest_changelist")

    @admin.action(description="Approve the selected requests", permissions=["change"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet[LimitRequest]) -> None:
        count = sum(limit_requests.approve(wish.pk, actor_id=_admin(request)) for wish in queryset)
        self.message_user(request, f"Approved: {count}.")

    @admin.action(description="Decline the selected requests", permissions=["change"])
    def decline_selected(self, request: HttpRequest, queryset: QuerySet[LimitRequest]) -> None:
        count = sum(limit_requests.decline(wish.pk, actor_id=_admin(request)) for wish in queryset)
        self.message_user(request, f"Declined: {count}.")
