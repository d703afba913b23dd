"""Checks at the start: settings of alerts that cannot work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Warning, register

from monitoring.channels import webhook_problem


@register()
def check_webhook(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W001: the webhook's address may not be called; W002: nobody can send the e-mails."""
    found: list[CheckMessage] = []
    if settings.ALERT_WEBHOOK_URL and (problem := webhook_problem(settings.ALERT_WEBHOOK_URL)):
        found.append(Warning(f"ALERT_WEBHOOK_URL {problem}.", id="monitoring.W001"))
    if settings.ALERT_EMAILS and not settings.EMAIL_URL:
        hint = "For instance EMAIL_URL=smtp+tls://user:password@mail.example.org:587"
        found.append(Warning("ALERT_EMAILS is set, but EMAIL_URL is not.", hint=hint, id="monitoring.W002"))
    return found
