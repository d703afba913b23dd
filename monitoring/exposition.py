"""``/metrics``: for whoever has the token, or, where there is none, for this machine alone."""

from __future__ import annotations

import functools
import hmac
import ipaddress

from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from monitoring.metrics import SiteCollector

# A proxy leaves one of these: what comes through it comes from elsewhere.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def may_see_metrics(request: HttpRequest) -> bool:
    """With METRICS_TOKEN: its bearer. Without: programs on this machine that ask for it by its own name."""
    token = settings.METRICS_TOKEN
    if token:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {token}".encode())
    if any(request.headers.get(name) for name in FORWARDED):
        return False
    host = request.META.get("HTTP_HOST", "").rsplit(":", 1)[0].strip("[]")
    return _is_loopback(request.META.get("REMOTE_ADDR", "")) and (host == "localhost" or _is_loopback(host))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@functools.cache
def registry() -> CollectorRegistry:
    own = CollectorRegistry(auto_describe=False)
    own.register(SiteCollector())
    return own


def answer_metrics(request: HttpRequest) -> HttpResponse:
    """The metrics as text; synchronous, with database connections of its own thread."""
    if not may_see_metrics(request):
        return HttpResponse("Not for you.\n", status=401 if settings.METRICS_TOKEN else 403)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        response = HttpResponse(encode(registry()), content_type=content_type)
    finally:
        connections.close_all()
    response["Cache-Control"] = "no-store"
    return response
