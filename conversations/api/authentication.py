"""Who asks: a program by its API key or access token, or a page of ours by its session cookie.

A request with an ``Authorization`` header is judged by that header alone: a cookie beside it does not
count. A cookie counts only together with the CSRF token.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from conversations import access_tokens
from conversations.models import ApiKey
from conversations.models.person import KEY_PREFIX

CHALLENGE = 'Bearer realm="chatsite"'


class CsrfFailed(PermissionDenied):
    default_detail = "The CSRF token is missing or wrong. A page sends it as X-CSRFToken."
    default_code = "csrf_failed"


class _BearerAuthentication(authentication.BaseAuthentication):
    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class AccessTokenAuthentication(_BearerAuthentication):
    """``Authorization: Bearer eyJ…``; whatever else stands there is left to the API keys."""

    def authenticate(self, request: Request) -> tuple[User, str] | None:
        secret = bearer_secret(request)
        if secret is None or secret.startswith(KEY_PREFIX) or secret.count(".") != 2:
            return None
        user = access_tokens.bearer(secret, "access")
        if user is None:
            raise AuthenticationFailed("This access token has expired or is not valid.", "invalid_key")
        return user, "access token"


class ApiKeyAuthentication(_BearerAuthentication):
    """``Authorization: Bearer cs_…``"""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        if not authentication.get_authorization_header(request):
            return None
        secret = bearer_secret(request)
        key = None if secret is None else ApiKey.objects.find(secret)
        if key is None:
            raise AuthenticationFailed("This API key does not exist or was revoked.", "invalid_key")
        key.touch()
        return key.user, key


def bearer_secret(request: Request) -> str | None:
    """What follows ``Bearer``; None where the header is not there or says something else."""
    authorization = authentication.get_authorization_header(request).decode("latin-1")
    scheme, _, secret = authorization.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


class SessionAuthentication(authentication.SessionAuthentication):
    """The session of a signed-in page, with its CSRF token on everything that changes something."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        if authentication.get_authorization_header(request):
            return None
        return super().authenticate(request)

    def enforce_csrf(self, request: Request) -> None:
        try:
            super().enforce_csrf(request)
        except PermissionDenied as error:
            raise CsrfFailed from error


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "cs_…",
            "description": "An API key, made with `manage.py apikey_create USER`.",
        }


class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    target_class = AccessTokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An access token from `auth/token/`.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # registers itself
    target_class = SessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": settings.SESSION_COOKIE_NAME,
            "description": "The cookie of a signed-in page; changes need the X-CSRFToken header too.",
        }
