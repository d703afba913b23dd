"""The OpenAPI schema, and a page to read and try it. Nothing of it comes from elsewhere."""

from __future__ import annotations

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from conversations.api.base import RestView
from conversations.message_schemas import message_schemas


class SchemaView(SpectacularAPIView):
    # What the API is like is no secret, and a wrong key must not hide it.
    authentication_classes = ()
    permission_classes = ()


class SocketSchemaView(RestView):
    """The JSON Schema of the WebSocket's frames and events."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def get(self, request: Request) -> Response:
        return Response(message_schemas())


class DocsView(SpectacularSwaggerSplitView):
    authentication_classes = ()
    permission_classes = ()
    template_name = "api/docs.html"
    url_name = "api-schema"
