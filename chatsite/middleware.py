"""Middleware of the whole site."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import SimpleTemplateResponse
from django.urls import resolve
from structlog.contextvars import bind_contextvars, clear_contextvars
from uuid_utils import uuid7

SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


def request_id_of(given: str) -> str:
    """The caller's own id where it is a plain word, else a new one."""
    return given if SAFE_ID.match(given) else str(uuid7())


class AsyncMiddleware(ABC):
    """Runs on the event loop alone."""

    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponse]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    @abstractmethod
    async def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answers the request, or passes it on to ``get_response``."""


class RequestIdMiddleware(AsyncMiddleware):
    """Gives each request an id, the caller's own where it is a plain word, and returns it.

    Pages that belong to a person are never stored by a cache on the way.
    """

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.headers.get("X-Request-ID", ""))
        request.META["request_id"] = request_id
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        response = await self.get_response(request)
        response["X-Request-ID"] = request_id
        if not response.has_header("Cache-Control") and not request.path.startswith("/static/"):
            response["Cache-Control"] = "no-store, private"
        return response


class ProgramMiddleware(AsyncMiddleware):
    """Takes the requests of programs straight to the API.

    A request with an ``Authorization`` header is judged by that header alone: session, CSRF, messages and
    the policies for pages have no say in it. Each of them would cost it changes of thread, which beside
    open streams are dear.
    """

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/api/") or "Authorization" not in request.headers:
            return await self.get_response(request)
        match = resolve(request.path_info)
        if not iscoroutinefunction(match.func):
            return await self.get_response(request)
        request.resolver_match = match
        response: HttpResponse = await match.func(request, *match.args, **match.kwargs)
        if isinstance(response, SimpleTemplateResponse):
            await sync_to_async(response.render)()
        return response


class MethodPageMiddleware(AsyncMiddleware):
    """Gives a page to people who open the address of a form, as after signing in anew.

    Django's own 405 is blank.
    """

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        response = await self.get_response(request)
        if response.status_code != 405 or response.content or not request.accepts("text/html"):
            return response
        page = await sync_to_async(render)(request, "405.html", status=405)
        page["Allow"] = response["Allow"]
        return page
