"""The OpenAPI schema, and a page to read and try it. Nothing of it comes from elsewhere."""

from __future__ import annotations

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView


class SchemaView(SpectacularAPIView):
    # What the API is like is no secret, and a wrong key must not hide it.
    authentication_classes = ()
    permission_classes = ()


class DocsView(SpectacularSwaggerSplitView):
    authentication_classes = ()
    permission_classes = ()
    template_name = "api/docs.html"
    url_name = "api-schema"
