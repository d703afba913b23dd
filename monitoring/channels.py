"""The ways to an operator: the log, e-mail, a webhook. Each either takes a message or raises."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage

from llm.models import base_url_problem
from monitoring.models import Channel, Incident, Notice, NoticeKind

logger = logging.getLogger("monitoring.alerts")


class DeliveryFailed(Exception):
    """The channel did not take the message; the words are for operators."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is said. ``id`` is the same however often it is delivered."""

    id: str
    event: str
    title: str
    rule: str = ""
    subject: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    opened_at: str = ""
    closed_at: str = ""

    @property
    def headline(self) -> str:
        words = {"recovered": "Recovered: ", "test": "Test: "}
        return words.get(self.event, "") + self.title


def message_of(notice: Notice) -> Message:
    incident: Incident = notice.incident
    recovered = notice.kind == NoticeKind.RECOVERED
    return Message(
        id=f"{incident.pk}:{notice.kind}",
        event=notice.kind,
        title=incident.title,
        rule=incident.rule,
        subject=incident.subject,
        detail=incident.detail,
        opened_at=incident.opened_at.isoformat(),
        closed_at=incident.closed_at.isoformat() if recovered and incident.closed_at else "",
    )


def configured_channels() -> list[str]:
    channels = [Channel.LOG.value]
    if settings.ALERT_EMAILS and settings.EMAIL_URL:
        channels.append(Channel.EMAIL.value)
    if settings.ALERT_WEBHOOK_URL:
        channels.append(Channel.WEBHOOK.value)
    return channels


def send(channel: str, message: Message) -> None:
    """Raises DeliveryFailed."""
    if channel == Channel.LOG:
        _log(message)
    elif channel == Channel.EMAIL:
        _mail(message)
    else:
        _call_webhook(message)


def _log(message: Message) -> None:
    level = logging.ERROR if message.event == NoticeKind.OPENED else logging.WARNING
    fields = {"rule": message.rule, "subject": message.subject, "detail": message.detail}
    logger.log(level, "alert %s: %s", message.event, message.title, extra=fields)


def _mail(message: Message) -> None:
    lines = [message.headline, ""]
    lines += [f"{name}: {value}" for name, value in message.detail.items()]
    lines += ["", f"Rule: {message.rule}, about: {message.subject}", f"Since: {message.opened_at}"]
    lines += [f"Over: {message.closed_at}"] if message.closed_at else []
    lines += [settings.PUBLIC_URL, "What to do: docs/operations.md, Alerts"]
    mail = EmailMessage(f"[Chatsite] {message.headline}", "\n".join(lines), to=settings.ALERT_EMAILS)
    try:
        mail.send()
    except OSError as error:  # SMTP's errors are OSErrors as well
        raise DeliveryFailed(f"{type(error).__name__} while sending e-mail") from error


def webhook_problem(url: str) -> str:
    """Why ALERT_WEBHOOK_URL may not be called, or ""."""
    problem = base_url_problem(url, settings.ALERT_WEBHOOK_HOSTS)
    return problem.replace("PROVIDER_HOSTS", "ALERT_WEBHOOK_HOSTS")


def _call_webhook(message: Message) -> None:
    url = settings.ALERT_WEBHOOK_URL
    problem = webhook_problem(url)
    if problem:
        raise DeliveryFailed(f"ALERT_WEBHOOK_URL {problem}")
    body = {
        "text": message.headline,
        "id": message.id,
        "event": message.event,
        "rule": message.rule,
        "subject": message.subject,
        "title": message.title,
        "detail": message.detail,
        "opened_at": message.opened_at or None,
        "closed_at": message.closed_at or None,
        "site": settings.PUBLIC_URL,
    }
    # Loaded by who calls: every process would load an HTTP client at its start, which few ever need.
    from monitoring.webhooks import Unanswered, post

    private_allowed = (urlsplit(url).hostname or "").lower() in settings.ALERT_WEBHOOK_HOSTS
    try:
        status = asyncio.run(post(url, body, private_allowed=private_allowed))
    except Unanswered as error:
        raise DeliveryFailed(f"the webhook could not be called ({error})") from error
    if not 200 <= status < 300:
        raise DeliveryFailed(f"the webhook answered {status}")
