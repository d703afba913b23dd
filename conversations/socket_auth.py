"""Who opens a WebSocket: by an API key or access token in the header, or by our own pages' cookie."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Literal
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.http.request import validate_host
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from conversations import access_tokens
from conversations.models import ApiKey, Conversation, Generation

Headers = dict[bytes, bytes]
Check = Callable[[User], bool]


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
    """Those that would still open a socket: not revoked, signed out, expired or deactivated.

    At most three queries, however many there are.
    """
    digests = [one.secret for one in credentials if one.kind == "key"]
    usable = ApiKey.objects.usable().filter(digest__in=digests) if digests else ApiKey.objects.none()
    welcome_keys = set(usable.values_list("digest", flat=True))
    checks = _checks_of_sessions([one.secret for one in credentials if one.kind == "session"])
    for one in credentials:
        if one.kind == "token" and (claims := access_tokens.read(one.secret, "access")) is not None:
            checks[one.secret] = claims.hold_for
    asked = [one for one in credentials if one.secret in checks]
    users = User.objects.filter(is_active=True).in_bulk({one.user_id for one in asked}) if asked else {}
    welcome = {one for one in credentials if one.kind == "key" and one.secret in welcome_keys}
    for one in asked:
        user = users.get(one.user_id)
        if user is not None and checks[one.secret](user):
            welcome.add(one)
    return welcome


def _checks_of_sessions(keys: Collection[str]) -> dict[str, Check]:
    """By key of a session that is there: whether it belongs to this person and their present password."""
    if not keys:
        return {}
    found = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return {session.session_key: partial(_is_session_of, session.get_decoded()) for session in found}


def _is_session_of(session: dict[str, Any], user: User) -> bool:
    """What ``get_user`` asks of one session, with the person at hand."""
    if session.get(SESSION_KEY) != str(user.pk):
        return False
    if session.get(BACKEND_SESSION_KEY) not in settings.AUTHENTICATION_BACKENDS:
        return False
    now = session.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(now, one) for one in hashes)
