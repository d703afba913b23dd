from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient
from django.utils import timezone
from pytest_django import Settings

from chatsite import health
from conversations.models import Pulse
from monitoring import site_rules


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
    for chore in ("sweeper", "worker"):
        await sync_to_async(Pulse.beat)(chore)
    answer = await async_client.get("/readyz", headers={"host": "10.0.0.7:8000"})
    assert answer.json() == {
        "status": "ok",
        "database": "ok",
        "redis": "ok",
        "migrations": "ok",
        "sweeper": "ok",
        "worker": "ok",
    }
    assert answer.status_code == 200


@pytest.mark.django_db(transaction=True)
async def test_a_silent_worker_is_told_and_does_not_take_the_site_down(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.METRICS_TOKEN = "operator"
    monkeypatch.setattr(site_rules, "STARTED_AT", timezone.now() - timedelta(hours=1))
    await sync_to_async(Pulse.beat)("sweeper")
    answer = await async_client.get("/readyz", headers={"Authorization": "Bearer operator"})
    assert answer.status_code == 200
    assert (answer.json()["sweeper"], answer.json()["worker"]) == ("ok", "silent")
    assert "has been silent for" in answer.json()["why"]["worker"]


@pytest.mark.django_db(transaction=True)
async def test_only_operators_are_told_why(async_client: AsyncClient, settings: Settings) -> None:
    settings.REDIS_URL = "redis://:secret@127.0.0.1:9/0"
    settings.METRICS_TOKEN = "operator"
    answer = await async_client.get("/readyz", headers={"Authorization": "Bearer wrong"})
    assert "why" not in answer.json()
    answer = await async_client.get("/readyz", headers={"Authorization": "Bearer operator"})
    assert answer.json()["why"]["redis"].startswith("ConnectionError:")
    assert b"secret" not in answer.content


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
