"""Doors: the usage pages, and what one may do there about budgets."""

from __future__ import annotations

import uuid
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from billing import accounts, limit_requests, own_limits
from billing.errors import InvalidAmount
from billing.models import Budget, ScopeKind
from conversations.pages import trusted_types
from conversations.usage.ask_page import ask_context
from conversations.usage.budget_rows import read_amount
from conversations.usage.entry_pages import entries_context, entry_context
from conversations.usage.report import usage_page


@login_required
@require_safe
@trusted_types
def usage(request: HttpRequest) -> HttpResponse:
    return _shown(
        request, "usage/usage.html", usage_page(signed_in(request), request.GET, now=timezone.now())
    )


@login_required
@require_safe
@trusted_types
def entries(request: HttpRequest) -> HttpResponse:
    context = entries_context(signed_in(request), request.GET, now=timezone.now())
    return _shown(request, "usage/entries.html", context)


@login_required
@require_safe
@trusted_types
def entry(request: HttpRequest, entry_id: uuid.UUID) -> HttpResponse:
    context = entry_context(signed_in(request), entry_id, now=timezone.now())
    if context is None:
        raise Http404
    return _shown(request, "usage/entry.html", context)


def signed_in(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def _shown(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """Times in the zone in which the person's days begin."""
    with timezone.override(ZoneInfo(context["zone"])):
        return render(request, template, context)


@login_required
@require_POST
def set_limit(request: HttpRequest) -> HttpResponse:
    """Set a limit of one's own: ``unit``, ``period``, ``limit``."""
    fields = request.POST
    try:
        own_limits.set_own_limit(
            user_id=signed_in(request).pk,
            unit=fields.get("unit", ""),
            period=fields.get("period", ""),
            limit_units=read_amount(fields.get("limit", ""), fields.get("unit", "")),
        )
    except InvalidAmount as error:
        return _back(request, _sentence(error), messages.ERROR)
    return _back(request, "Your limit is set. It holds from now on.")


@login_required
@require_POST
def remove_limit(request: HttpRequest, budget_id: int) -> HttpResponse:
    if not own_limits.remove_own_limit(user_id=signed_in(request).pk, budget_id=budget_id):
        raise Http404
    return _back(request, "Your limit is gone.")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@trusted_types
def ask_for_more(request: HttpRequest, budget_id: int) -> HttpResponse:
    """Ask an admin for a higher limit: ``wanted``, ``reason``. A link may bring what is needed along, and the
    ``conversation`` to go back to.
    """
    person = signed_in(request)
    budget = Budget.objects.filter(pk=budget_id, scope_kind=ScopeKind.USER, scope_id=str(person.pk)).first()
    if budget is None:
        raise Http404
    given = request.POST if request.method == "POST" else request.GET
    error = ""
    if request.method == "POST":
        try:
            limit_requests.ask_for_more(
                user_id=person.pk,
                budget_id=budget_id,
                wanted_units=read_amount(given.get("wanted", ""), budget.unit),
                reason=given.get("reason", ""),
            )
        except InvalidAmount as refused:
            error = _sentence(refused)
        else:
            messages.success(request, "Your request was sent. An admin will answer it.")
            return redirect(request.get_full_path() if "conversation" in request.GET else "usage")
    context = ask_context(person, budget, request.GET, given, now=timezone.now())
    if context is None:
        raise Http404
    response = _shown(request, "usage/ask.html", {**context, "error": error})
    response.status_code = 422 if error else 200
    return response


@login_required
@require_POST
def withdraw_request(request: HttpRequest, request_id: int) -> HttpResponse:
    if not limit_requests.withdraw(request_id, user_id=signed_in(request).pk):
        raise Http404
    return _back(request, "Your request was taken back.")


@login_required
@require_POST
def set_zone(request: HttpRequest) -> HttpResponse:
    """In which zone one's days begin: ``timezone``."""
    try:
        accounts.set_timezone(
            user_id=signed_in(request).pk, timezone_name=request.POST.get("timezone", "").strip()
        )
    except InvalidAmount as error:
        return _back(request, _sentence(error), messages.ERROR)
    return _back(request, "Your days begin there from the next one on. Those before stay as they were.")


def _back(request: HttpRequest, text: str, level: int = messages.SUCCESS) -> HttpResponse:
    messages.add_message(request, level, text)
    return redirect("usage")


def _sentence(error: InvalidAmount) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
