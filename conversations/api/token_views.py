"""The doors on tokens: sign in for a pair, and get the next access token."""

from __future__ import annotations

import asyncio
from typing import Any

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import connections
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from conversations import access_tokens
from conversations.api.authentication import CHALLENGE
from conversations.api.base import RestView
from conversations.api.schema import problems
from conversations.api.throttles import AddressThrottle
from conversations.database import in_database
from conversations.sign_in import wait_seconds, wait_text

TAGS = ["tokens"]


class SignInSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=1000, trim_whitespace=False, write_only=True)


class RefreshSerializer(serializers.Serializer[Any]):
    refresh = serializers.CharField(max_length=access_tokens.TOKEN_CHARACTERS)


class TokensSerializer(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="For `Authorization: Bearer …`.")
    refresh = serializers.CharField(help_text="For `auth/token/refresh/`, and nothing else.")
    expires_at = serializers.DateTimeField(help_text="When `access` ends.")


class _OpenView(RestView):
    """Open to all: whoever comes here has nothing yet to show."""

    authentication_classes = ()
    permission_classes = ()

    def get_authenticate_header(self, request: Request) -> str:
        return CHALLENGE

    def check_throttles(self, request: Request) -> None:
        """Not here, in a database thread: every answer would wait for a cache that is slow."""

    async def throttle(self, request: Request) -> None:
        await asyncio.to_thread(super().check_throttles, request)


class TokenView(_OpenView):
    throttle_classes = (AddressThrottle,)

    @extend_schema(
        operation_id="create_token",
        tags=TAGS,
        auth=[],
        request=SignInSerializer,
        responses={
            200: TokensSerializer,
            **problems("malformed", "body_too_large", "unsupported_media_type", "invalid", "rate_limited"),
        },
    )
    async def post(self, request: Request) -> Response:
        """Sign in with name and password. Who gets it wrong ten times waits for up to five minutes."""
        await self.throttle(request)
        fields = self.read(SignInSerializer)
        user = await asyncio.to_thread(_person, request, fields["username"], fields["password"])
        if user is None:
            seconds = wait_seconds(request._request)
            if seconds:
                raise Throttled(seconds, wait_text(seconds))
            raise AuthenticationFailed("The name and the password do not go together.", "invalid_key")
        return Response(TokensSerializer(access_tokens.issue(user)).data)


def _person(request: Request, username: str, password: str) -> User | None:
    """In a thread of its own: the hashing takes a third of a second, which the database's thread has not."""
    try:
        user = authenticate(request._request, username=username, password=password)
        return user if isinstance(user, User) else None
    finally:
        connections.close_all()


class RefreshView(_OpenView):
    throttle_classes = (AddressThrottle,)

    @extend_schema(
        operation_id="refresh_token",
        tags=TAGS,
        auth=[],
        request=RefreshSerializer,
        responses={
            200: TokensSerializer,
            **problems("malformed", "body_too_large", "unsupported_media_type", "invalid", "rate_limited"),
        },
    )
    async def post(self, request: Request) -> Response:
        """The next pair. A refresh token ends by its date, a new password, or a deactivation."""
        await self.throttle(request)
        token = self.read(RefreshSerializer)["refresh"]
        user = await in_database(access_tokens.bearer, token, "refresh")
        if user is None:
            raise AuthenticationFailed("This refresh token is not valid (any more).", "invalid_key")
        return Response(TokensSerializer(access_tokens.issue(user)).data)
