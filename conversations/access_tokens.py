"""Access and refresh tokens (JWT): a person's sign-in for programs, without a session.

Nothing is stored. A token carries the person's session hash, which Django derives from the password: a new
password, like a deactivation, ends every token at once. Signed with a key of its own, derived from
``SECRET_KEY``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import jwt
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

ALGORITHM = "HS256"
ISSUER = "chatsite"
TOKEN_CHARACTERS = 2_000  # ours have some 400; longer ones are not looked at

Kind = Literal["access", "refresh"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """``access`` opens the API until ``expires_at``; ``refresh`` gets the next one."""

    access: str
    refresh: str
    expires_at: datetime


def issue(user: User, *, now: datetime | None = None) -> Tokens:
    now = now or timezone.now()
    expires_at = now + timedelta(seconds=settings.ACCESS_TOKEN_SECONDS)
    return Tokens(
        _signed(user, "access", now, expires_at),
        _signed(user, "refresh", now, now + timedelta(seconds=settings.REFRESH_TOKEN_SECONDS)),
        expires_at,
    )


@dataclass(frozen=True, slots=True)
class Claims:
    """What an unexpired token of ours says: whose it is, and with which password it was got."""

    user_id: int
    person_key: str

    def hold_for(self, user: User) -> bool:
        return user.pk == self.user_id and constant_time_compare(self.person_key, _person_key(user))


def bearer(token: str, kind: Kind) -> User | None:
    """The active person whose unexpired token of this kind it is; None for any other text."""
    claims = read(token, kind)
    if claims is None:
        return None
    user = User.objects.filter(pk=claims.user_id, is_active=True).first()
    return user if user is not None and claims.hold_for(user) else None


def read(token: str, kind: Kind) -> Claims | None:
    """What the token says, if it is one of ours of this kind. Whether it still holds, its person knows."""
    if len(token) > TOKEN_CHARACTERS or token.count(".") != 2:
        return None
    try:
        claims = jwt.decode(
            token,
            _key(),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub", "iss"]},
        )
        user_id = int(claims["sub"])
    except (jwt.InvalidTokenError, ValueError, UnicodeError):
        return None
    if claims.get("use") != kind:
        return None
    return Claims(user_id, str(claims.get("key")))


def _signed(user: User, kind: Kind, now: datetime, expires_at: datetime) -> str:
    claims = {
        "iss": ISSUER,
        "sub": str(user.pk),
        "use": kind,
        "key": _person_key(user),
        "iat": now,
        "exp": expires_at,
    }
    return jwt.encode(claims, _key(), algorithm=ALGORITHM)


def _key() -> bytes:
    return salted_hmac("chatsite.access_tokens", "signing", algorithm="sha256").digest()


def _person_key(user: User) -> str:
    """Says that the password is still the one that the token was got with, and nothing about it."""
    return hashlib.sha256(user.get_session_auth_hash().encode()).hexdigest()[:32]
