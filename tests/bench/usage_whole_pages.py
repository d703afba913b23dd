"""The whole pages that ``bench-usage`` opens: the usage pages of people and the admin's dashboard."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth import get_user_model
from django.test import Client

from conversations.call_days import roll_up_days
from conversations.call_hours import BOUNDS_MS
from conversations.models.call import SUMS, CallHour, LatencyHour
from tests.bench.usage_seed import FIRST_DAY, HEAVY_USER

MODELS = 5
OUTCOMES = (("completed", "", 50), ("failed", "overloaded", 1))


def seed_hours(size: Any) -> None:
    """Sums of calls and their latencies for the hours and models; nothing where there are some already."""
    if CallHour.objects.exists():
        return
    chance = Random(2)
    for day in range(size.days):
        hours = [FIRST_DAY + timedelta(days=day, hours=hour) for hour in range(size.hours_a_day)]
        keys = [(hour, "bench", f"bench:model-{model}") for hour in hours for model in range(1, MODELS + 1)]
        CallHour.objects.bulk_create(
            CallHour(
                hour=hour,
                provider=provider,
                model=model,
                purpose="answer",
                outcome=outcome,
                code=code,
                **{name: calls * chance.randint(1, 9) for name in SUMS},
            )
            for hour, provider, model in keys
            for outcome, code, calls in OUTCOMES
        )
        LatencyHour.objects.bulk_create(
            LatencyHour(
                hour=hour,
                provider=provider,
                model=model,
                measure=measure,
                bound_ms=bound_ms,
                calls=chance.randint(1, 9),
                total_ms=bound_ms * 5,
            )
            for hour, provider, model in keys
            for measure, bounds in BOUNDS_MS.items()
            for bound_ms in bounds[2:12:2]
        )
    roll_up_days(FIRST_DAY.date(), size.last_day.date())


def whole_pages(size: Any, chance: Random) -> dict[str, Callable[[], object]]:
    """By name, what opens the page, templates and all."""
    seed_hours(size)
    people = get_user_model().objects
    root, _ = people.get_or_create(username="root", defaults={"is_staff": True, "is_superuser": True})
    last = size.last_day.date()
    month = {"from": last - timedelta(days=29), "to": last}
    all_days = {"from": last - timedelta(days=size.days - 1), "to": last}

    def person(number: int) -> Client:
        client = Client(SERVER_NAME="localhost")
        # The seed numbers accounts only; a page needs somebody who is signed in.
        user, _ = people.get_or_create(pk=number, defaults={"username": f"user{number}"})
        client.force_login(user)
        return client

    clients = [person(chance.randint(2, size.users)) for _ in range(30)]
    heavy, admin = person(HEAVY_USER), Client(SERVER_NAME="localhost")
    admin.force_login(root)

    def opens(client: Callable[[], Client], path: str, **query: object) -> Callable[[], object]:
        address = f"{path}?{urlencode(query)}"

        def ask() -> None:
            answer = client().get(address)
            assert answer.status_code == 200, (address, answer.status_code, answer.headers)
            assert answer.content

        return ask

    def anybody() -> Client:
        return chance.choice(clients)

    dashboard = "/admin/billing/usagerollup/"
    return {
        "page: usage, 30 days": opens(anybody, "/usage/", **month),
        "page: usage, all days": opens(anybody, "/usage/", **all_days),
        "page: usage of the heaviest user": opens(lambda: heavy, "/usage/", **all_days),
        "page: entries": opens(anybody, "/usage/entries/", **month),
        "REST: usage by day": opens(anybody, "/api/v1/usage/", group_by="day", **month),
        "REST: entries": opens(anybody, "/api/v1/usage/entries/", **month),
        "dashboard, 30 days": opens(lambda: admin, dashboard, **month),
        "dashboard, 30 days by user": opens(lambda: admin, dashboard, group_by="user", **month),
        "dashboard, all days": opens(lambda: admin, dashboard, **all_days),
        "dashboard, all days by user": opens(lambda: admin, dashboard, group_by="user", **all_days),
    }
