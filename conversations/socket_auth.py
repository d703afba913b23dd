"""Who opens a WebSocket: by an API key or access token in the header, or by our own pages' cookie."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.http.request import validate_host

from conversations import access_tokens
from conversations.models import ApiKey, Conversation, Generation

Headers = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Credential:
    """What opened a socket: an API key (its digest), an access token or a session (its key)."""

    kind: Literal["key", "token", "session"]
    secret: str
    user_id: int


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person behind a socket, and the conversation it shows as it is at this moment."""

    credential: Credential
    live: Generation | None

    @property
    def user_id(self) -> int:
        return self.credential.user_id

    @property
    def is_asked(self) -> bool:
        """Whether somebody is there who can confirm. Programs have nobody to ask."""
        return self.credential.kind == "session"


def admit(headers: Headers, conversation_id: uuid.UUID) -> Visitor | None:
    """The visitor, or None: not signed in, a foreign page, or no such conversation of theirs."""
    credential = _identify(headers)
    if credential is None:
        return None
    if not Conversation.objects.filter(pk=conversation_id, owner_id=credential.user_id).exists():
        return None
    live = Generation.objects.live().select_related("turn").filter(conversation_id=conversation_id).first()
    return Visitor(credential, live)


def _identify(headers: Headers) -> Credential | None:
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if authorization:
        scheme, _, secret = authorization.partition(" ")
        return _bearer(secret.strip()) if scheme.lower() == "bearer" else None
    # A cookie is sent by any page that asks the browser to connect: the origin must be ours.
    if not _is_own_origin(headers.get(b"origin", b"").decode("latin-1")):
        return None
    return _session(headers.get(b"cookie", b"").decode("latin-1"))


def _bearer(secret: str) -> Credential | None:
    key = ApiKey.objects.find(secret)
    if key is not None:
        key.touch()
        return Credential("key", key.digest, key.user_id)
    user = access_tokens.bearer(secret, "access")
    return None if user is None else Credential("token", secret, user.pk)


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


def _session(cookie_header: str) -> Credential | None:
    try:
        cookies: SimpleCookie = SimpleCookie(cookie_header)
    except CookieError:
        return None
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    user_id = None if morsel is None else _user_of_session(morsel.value)
    return None if morsel is None or user_id is None else Credential("session", morsel.value, user_id)


def _user_of_session(key: str) -> int | None:
    request: Any = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    user = get_user(request)
    return user.pk if user.is_authenticated and user.is_active else None


def still_welcome(credentials: Collection[Credential]) -> set[Credential]:
    """Those that would still open a socket: not revoked, signed out, expired or deactivated. Few queries."""
    digests = [one.secret for one in credentials if one.kind == "key"]
    usable = set(ApiKey.objects.usable().filter(digest__in=digests).values_list("digest", flat=True))
    return {one for one in credentials if one.kind == "key" and one.secret in usable} | {
        one
        for one in credentials
        if (one.kind == "session" and _user_of_session(one.secret) == one.user_id)
        or (one.kind == "token" and access_tokens.bearer(one.secret, "access") is not None)
    }
