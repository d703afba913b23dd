"""Who asks: a program by its API key, or a page of ours by its session cookie.

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

from conversations.models import ApiKey


class CsrfFailed(PermissionDenied):
    default_detail = "The CSRF token is missing or wrong. A page sends it as X-CSRFToken."
    default_code = "csrf_failed"


class ApiKeyAuthentication(authentication.BaseAuthentication):
    """``Authorization: Bearer cs_…``"""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        authorization = authentication.get_authorization_header(request).decode("latin-1")
        if not authorization:
            return None
        scheme, _, secret = authorization.partition(" ")
        key = ApiKey.objects.find(secret.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise AuthenticationFailed("This API key does not exist or was revoked.", "invalid_key")
        key.touch()
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="chatsite"'


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
