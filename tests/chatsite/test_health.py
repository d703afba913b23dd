from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import AsyncClient
from pytest_django import Settings

from chatsite import health


@pytest.fixture(autouse=True)
def _never_seen_up_to_date() -> Iterator[None]:
    health._seen_up_to_date.clear()
    yield
    health._seen_up_to_date.clear()


async def test_it_lives_whatever_host_is_asked_for(async_client: AsyncClient) -> None:
    answer = await async_client.get("/healthz", headers={"host": "10.0.0.7:8000"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db(transaction=True)
async def test_it_is_ready_with_database_redis_and_tables(async_client: AsyncClient) -> None:
    answer = await async_client.get("/readyz", headers={"host": "10.0.0.7:8000"})
    assert answer.json() == {"status": "ok", "database": "ok", "redis": "ok", "migrations": "ok"}
    assert answer.status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_it_is_not_ready_without_redis_and_tells_no_address(
    async_client: AsyncClient, settings: Settings
) -> None:
    settings.REDIS_URL = "redis://:secret@127.0.0.1:9/0"
    answer = await async_client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["redis"] == "unavailable"
    assert answer.json()["database"] == "ok"
    assert b"secret" not in answer.content


@pytest.mark.django_db(transaction=True)
async def test_it_is_not_ready_while_tables_lag_behind(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "pending_migrations", lambda: ["billing.0099_more"])
    answer = await async_client.get("/readyz")
    assert (answer.status_code, answer.json()["migrations"]) == (503, "pending")

    monkeypatch.setattr(health, "pending_migrations", list)
    assert (await async_client.get("/readyz")).status_code == 200


async def test_it_is_not_ready_without_the_database(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the django_db mark every access to the database is refused, as by a server that is down.
    answer = await async_client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] == "unavailable"
    assert answer.json()["migrations"] == "unavailable"


async def test_it_passes_other_addresses_on(async_client: AsyncClient) -> None:
    answer = await async_client.get("/healthzz")
    assert answer.status_code == 404
