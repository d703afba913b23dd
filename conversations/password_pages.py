"""Doors: a forgotten password. Django's views; what they say never tells whether there is such a person."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import PasswordResetForm
from django.contrib.auth.views import PasswordResetConfirmView, PasswordResetView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy

from conversations import sign_in_limits
from conversations.forms import ForgottenForm, SetPassword
from conversations.password_links import base_of, can_mail, tell_worker
from conversations.sign_in import wait_text

AWAY = "No e-mail could be sent just now. Try again in a minute."


class Forgotten(PasswordResetView):
    template_name = "registration/forgotten.html"
    form_class = ForgottenForm
    success_url = reverse_lazy("password_link_sent")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not can_mail():
            return render(request, "registration/forgotten_closed.html", status=self._closed_status())
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: PasswordResetForm) -> HttpResponse:
        address = form.cleaned_data["email"]
        # A name of its own: asking for links must keep nobody from signing in.
        seconds = sign_in_limits.admit(f"link to {address}", self.request.META.get("REMOTE_ADDR", ""))
        if seconds:
            response = self._refused(form, wait_text(seconds, "no link is sent"), 429)
            response["Retry-After"] = str(seconds)
            return response
        if not tell_worker(address, base_of(self.request)):
            return self._refused(form, AWAY, 503)
        return HttpResponse(status=302, headers={"Location": str(self.success_url)})

    def _refused(self, form: PasswordResetForm, words: str, status: int) -> HttpResponse:
        form.add_error(None, words)
        response = self.form_invalid(form)
        response.status_code = status
        return response

    def _closed_status(self) -> int:
        return 200 if self.request.method in ("GET", "HEAD") else 403


def link_sent(request: HttpRequest) -> HttpResponse:
    return render(request, "registration/forgotten_sent.html")


class NewPassword(PasswordResetConfirmView):
    """The link moves its token into the session, so that it stands in no history and no referrer."""

    template_name = "registration/new_password.html"
    form_class = SetPassword
    post_reset_login = True
    post_reset_login_backend = "conversations.sign_in.LimitedBackend"
    success_url = reverse_lazy("home")
