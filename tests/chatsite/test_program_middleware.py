"""Requests of programs go straight to the API, those of pages through all that pages need."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory

from chatsite.middleware import ProgramMiddleware

pytestmark = pytest.mark.django_db(transaction=True)


async def passed_on(path: str, **headers: str) -> bool:
    """Whether the request goes on to what is for pages."""

    async def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse("page")

    response: Any = await ProgramMiddleware(page)(AsyncRequestFactory().get(path, headers=headers))
    return bool(response.content == b"page")


async def test_it_takes_only_programs_past_what_is_for_pages() -> None:
    bearer = {"Authorization": "Bearer cs_unknown"}

    assert not await passed_on("/api/v1/models/", **bearer)
    assert not await passed_on("/api/nowhere", **bearer)
    assert await passed_on("/api/v1/models/")
    assert await passed_on("/api/v1/models/", Cookie="sessionid=1")
    assert await passed_on("/", **bearer)
    assert await passed_on("/admin/", **bearer)


async def test_it_lets_no_cookie_stand_in_for_a_wrong_key(alice: User) -> None:
    client = AsyncClient()
    await client.aforce_login(alice)

    assert (await client.get("/api/v1/models/")).status_code == 200
    refused = await client.get("/api/v1/models/", headers={"Authorization": "Bearer cs_unknown"})

    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_key")
    assert refused["X-Content-Type-Options"] == "nosniff"
    assert refused["X-Request-ID"]
    assert refused["Cache-Control"] == "no-store, private"
    assert int(refused["Content-Length"]) == len(refused.content)
