"""Who opens a WebSocket: by an API key in the header, or by the session cookie from our own pages."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.http.request import validate_host

from conversations.models import ApiKey, Conversation, Generation

Headers = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person behind a socket, and the conversation it shows as it is at this moment."""

    user_id: int
    is_page: bool  # a page of ours, not a program
    live: Generation | None


def admit(headers: Headers, conversation_id: uuid.UUID) -> Visitor | None:
    """The visitor, or None: not signed in, a foreign page, or no such conversation of theirs."""
    user_id, is_page = _identify(headers)
    if user_id is None:
        return None
    if not Conversation.objects.filter(pk=conversation_id, owner_id=user_id).exists():
        return None
    live = Generation.objects.live().select_related("turn").filter(conversation_id=conversation_id).first()
    return Visitor(user_id, is_page, live)


def _identify(headers: Headers) -> tuple[int | None, bool]:
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if authorization:
        scheme, _, secret = authorization.partition(" ")
        key = ApiKey.objects.find(secret.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            return None, False
        key.touch()
        return key.user_id, False
    # A cookie is sent by any page that asks the browser to connect: the origin must be ours.
    if not _is_own_origin(headers.get(b"origin", b"").decode("latin-1")):
        return None, True
    return _session_user(headers.get(b"cookie", b"").decode("latin-1")), True


def _is_own_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        host = parts.hostname
    except ValueError:
        return False
    if not host or parts.scheme not in ("http", "https"):
        return False
    bracketed = f"[{host}]" if ":" in host else host
    return validate_host(bracketed, settings.ALLOWED_HOSTS) or origin in settings.CSRF_TRUSTED_ORIGINS


def _session_user(cookie_header: str) -> int | None:
    try:
        cookies: SimpleCookie = SimpleCookie(cookie_header)
    except CookieError:
        return None
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    if morsel is None:
        return None
    request: Any = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(morsel.value)
    user = get_user(request)
    return user.pk if user.is_authenticated and user.is_active else None


def is_still_welcome(user_id: int, headers: Headers) -> bool:
    """Whether the same credentials would still open the socket: not revoked, signed out or expired."""
    found, _ = _identify(headers)
    return found == user_id
