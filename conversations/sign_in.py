"""Signing in by name and password: one door for pages, the admin and tokens, so that tries count together."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from conversations import sign_in_limits


class LimitedBackend(ModelBackend):
    """Django's, but for how often. Without a request (commands, tests) nothing is counted.

    A try that must wait is refused like a wrong one; ``wait_seconds`` tells the door how long.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if request is None or username is None or password is None:
            return _person(super().authenticate(request, username=username, password=password, **kwargs))
        address = request.META.get("REMOTE_ADDR", "")
        seconds = sign_in_limits.admit(username, address)
        if seconds:
            request.META[_WAIT] = seconds
            raise PermissionDenied
        user = _person(super().authenticate(request, username=username, password=password, **kwargs))
        if user is not None:
            sign_in_limits.forgive(username, address)
        return user

    async def aauthenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        return await sync_to_async(self.authenticate)(request, username, password, **kwargs)


_WAIT = "chatsite.sign_in_wait_seconds"


def _person(user: Any) -> User | None:
    return user if isinstance(user, User) else None


def wait_seconds(request: HttpRequest | None) -> int:
    """How long this request's try has to wait; 0 where it was looked at."""
    return int(request.META.get(_WAIT, 0)) if request is not None else 0


def wait_text(seconds: int, meanwhile: str = "no password is looked at") -> str:
    """The same sentence for every name, whether there is such a person or not."""
    if seconds < 60:
        span = "a minute"
    else:
        minutes = -(-seconds // 60)
        span = f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"Too many tries. Wait {span} and try again; meanwhile {meanwhile}."
