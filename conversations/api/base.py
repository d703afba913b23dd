"""The base of every REST view: Django REST framework on the event loop."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from inspect import iscoroutinefunction
from typing import IO, Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from conversations.api.problems import Problem
from conversations.database import in_database


class BoundedJSONParser(BaseParser):
    """JSON objects up to ``DATA_UPLOAD_MAX_MEMORY_SIZE`` bytes; everything else is a plain error.

    No JSONParser of the framework: for those it reads the whole body into memory first.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise Problem("body_too_large", f"The body is larger than {limit:,} bytes.")
        try:
            data = json.loads(body, parse_constant=_refuse_constant)
            if b"\\u" in body:
                # Half of a character, written as an escape, can neither be stored nor quoted in an error.
                json.dumps(data, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise ParseError("The body is not JSON in UTF-8.") from error
        if not isinstance(data, dict):
            raise ParseError("The body must be a JSON object.")
        return data


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


class Negotiation(BaseContentNegotiation):
    """The view decides what it answers; an ``Accept`` header never leads to an error."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, str(first.media_type)


class RestView(APIView):
    """A view whose handlers are coroutines, which run on the event loop, or plain functions, which run in
    a database thread. Authentication and permissions may ask the database, so they run there too.
    """

    view_is_async = True  # Django would derive it from the handlers, which are of both kinds
    parser_classes = (BoundedJSONParser,)
    content_negotiation_class = Negotiation

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        if "CONTENT_LENGTH" not in request.META and "HTTP_TRANSFER_ENCODING" in request.META:
            # Without a length the framework takes a body for absent; the parser finds out how long it is.
            request.META["CONTENT_LENGTH"] = "1"
        return super().initialize_request(request, *args, **kwargs)

    async def dispatch(  # type: ignore[override]  # Django awaits what an async view returns
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        self.args, self.kwargs = args, kwargs
        self.request = self.initialize_request(request, *args, **kwargs)
        self.headers = self.default_response_headers
        try:
            await in_database(self.initial, self.request, *args, **kwargs)
            method = (request.method or "").lower()
            known = method in self.http_method_names
            handler = getattr(self, method, None) if known else None
            handler = handler or self.http_method_not_allowed
            if iscoroutinefunction(handler):
                response = await handler(self.request, *args, **kwargs)
            else:
                response = await in_database(handler, self.request, *args, **kwargs)
        except Exception as error:
            response = self.handle_exception(error)
        self.response = self.finalize_response(self.request, response, *args, **kwargs)
        return self.response

    @property
    def user(self) -> User:
        """The person who asks; the permission classes have made sure that there is one."""
        return cast("User", self.request.user)

    def read(self, serializer_class: type[Serializer[Any]], *, query: bool = False) -> dict[str, Any]:
        """The validated fields of the body. Raises ValidationError; of the query, Problem ``malformed``."""
        serializer = serializer_class(data=self.request.query_params if query else self.request.data)
        if query and not serializer.is_valid():
            field = next(iter(serializer.errors))
            raise Problem("malformed", f"The query parameter {field} cannot be read.")
        serializer.is_valid(raise_exception=True)
        return cast("dict[str, Any]", serializer.validated_data)


class UnknownPath(RestView):
    """Whatever is not an address of the API."""

    authentication_classes = ()
    permission_classes = ()
    schema = None
    http_method_names = [*APIView.http_method_names]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise Problem("not_found", "There is nothing at this address. Addresses end with a slash.")
