"""Doors: a person's own password and keys for programs."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from conversations.forms import AddressForm, ApiKeyForm, NewPasswordForm
from conversations.models import ApiKey
from conversations.pages import trusted_types
from conversations.password_links import can_mail


@login_required
@require_safe
@trusted_types
def account(request: HttpRequest) -> HttpResponse:
    return _shown(request)


@sensitive_post_parameters()
@login_required
@require_POST
@trusted_types
def change_password(request: HttpRequest) -> HttpResponse:
    """This session stays signed in; every other one, and every token, ends."""
    form = NewPasswordForm(_person(request), request.POST, request=request)
    if not form.is_valid():
        return _shown(request, password_form=form, status=422)
    update_session_auth_hash(request, form.save())
    messages.success(request, "The password is changed. Everywhere else you have been signed out.")
    return redirect("account")


@sensitive_post_parameters()
@login_required
@require_POST
@trusted_types
def change_address(request: HttpRequest) -> HttpResponse:
    """Where links for a new password go; empty: nowhere. Only where the site sends e-mail."""
    if not can_mail():
        raise Http404
    person = _person(request)
    form = AddressForm(person, request.POST, request=request)
    if not form.is_valid():
        return _shown(request, address_form=form, status=422)
    person.email = form.cleaned_data["email"]
    person.save(update_fields=["email"])
    messages.success(request, "The e-mail address is kept." if person.email else "No e-mail address is kept.")
    return redirect("account")


@login_required
@require_POST
@trusted_types
def make_key(request: HttpRequest) -> HttpResponse:
    """Answers with the page itself, not a redirect: the secret is kept nowhere to be shown later."""
    form = ApiKeyForm(request.POST)
    if not form.is_valid():
        return _shown(request, key_form=form, status=422)
    key, secret = ApiKey.create(user=_person(request), name=form.cleaned_data["name"])
    return _shown(request, made=key, secret=secret)


@login_required
@require_POST
def revoke_key(request: HttpRequest, key_id: uuid.UUID) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=key_id, user=_person(request), revoked_at=None)
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    messages.success(request, f"The key {key} opens nothing any more.")
    return redirect("account")


def _person(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise Http404
    return request.user


@never_cache
def _shown(request: HttpRequest, *, status: int = 200, **found: Any) -> HttpResponse:
    person = _person(request)
    context = {
        "here": "account",
        "password_form": NewPasswordForm(person),
        "address_form": AddressForm(person) if can_mail() else None,
        "key_form": ApiKeyForm(),
        "keys": ApiKey.objects.filter(user=person, revoked_at=None).order_by("-created_at"),
        **found,
    }
    return render(request, "account/account.html", context, status=status)
