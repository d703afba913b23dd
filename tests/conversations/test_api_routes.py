"""Every address below /api/v1/ that names an object: 404 for others, 401 for nobody. From the URL map."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from billing.budgets import set_budget
from billing.limit_requests import ask_for_more
from billing.models import Budget
from billing.own_limits import set_own_limit
from conversations.access_tokens import issue
from conversations.database import in_database
from conversations.models import ApiKey, Conversation, Generation, State, Turn, WaitingReason
from tests.conversations.rest import Rest

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.no_cover]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What can be done to an answer that waits; the others are shown one that is complete.
WAITING = {"turns/<uuid:turn_id>/schedule/", "turns/<uuid:turn_id>/switch/"}
# Answered by admins, who therefore see them too; everything else belongs to its owner alone.
DECISIONS = {"limit-requests/<int:request_id>/approve/", "limit-requests/<int:request_id>/decline/"}
GOVERNED = {*DECISIONS, "limit-requests/<int:request_id>/"}
PUBLIC = {"schema/", "schema/socket/", "docs/", "auth/token/", "auth/token/refresh/"}


def routes() -> Iterator[tuple[str, type[Any]]]:
    """Route below /api/v1/ and the class of its view, but for the last one, which answers everything else."""

    def walk(patterns: list[Any], prefix: str) -> Iterator[tuple[str, type[Any]]]:
        for pattern in patterns:
            route = prefix + str(pattern.pattern)
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns, route)
            elif isinstance(pattern, URLPattern) and route.startswith("api/v1/") and route != "api/v1/":
                yield route.removeprefix("api/v1/"), getattr(pattern.callback, "view_class")  # noqa: B009

    yield from walk(get_resolver().url_patterns, "")


ROUTES = dict(routes())
OBJECT_ROUTES = sorted(route for route in ROUTES if "<" in route)
OWN_ROUTES = sorted(route for route in ROUTES if "<" not in route and route not in PUBLIC)


def methods(route: str) -> list[str]:
    return [method for method in METHODS if hasattr(ROUTES[route], method.lower())]


Ids = dict[str, uuid.UUID | int]


@pytest.fixture
def objects(conversation: Conversation, alice: User) -> Ids:
    """One of alice's own for each kind of id that a route may hold."""
    turn = Turn.objects.create(conversation=conversation, turn_id=uuid.uuid4(), text="Hello")
    turn.chosen = Generation.objects.create(
        conversation=conversation,
        turn=turn,
        model="demo:0-1-0",
        wanted_output_tokens=1,
        state=State.COMPLETED,
        text="Hi there. " * 100,  # enough to be summarised
    )
    turn.save()
    Conversation.objects.filter(pk=conversation.pk).update(head_turn=turn)
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=10**6, period="month")
    own = set_own_limit(user_id=alice.pk, unit="tokens", period="month", limit_units=10**5)
    given = Budget.objects.get(scope_kind="user", scope_id=str(alice.pk), period="month")
    wish = ask_for_more(user_id=alice.pk, budget_id=given.pk, wanted_units=2 * 10**6)
    return {
        "conversation_id": conversation.pk,
        "turn_id": turn.turn_id,
        "generation_id": turn.chosen.pk,
        "budget_id": own.pk,
        "request_id": wish.pk,
    }


def fill(route: str, objects: Ids) -> str:
    for name, value in objects.items():
        route = re.sub(f"<(uuid|int):{name}>", str(value), route)
    assert "<" not in route, f"{route}: this test does not know such an id yet"
    return route


def let_it_wait(generation_id: uuid.UUID | int) -> None:
    Generation.objects.filter(pk=str(generation_id)).update(
        state=State.WAITING,
        text="",
        waiting_reason=WaitingReason.CHOICE,
        run_after=timezone.now() + timedelta(hours=1),
    )


# What every address that takes a body needs, together: what it does not know it leaves aside.
BODY = {
    "text": "Hello",
    "title": "Taken over",
    "model": "demo:0-1-0",
    "version": "regenerate",
    "verdict": "up",
}


def test_it_has_found_the_routes() -> None:
    assert len(OBJECT_ROUTES) >= 7
    assert "conversations/" in OWN_ROUTES


@pytest.mark.parametrize("route", OBJECT_ROUTES)
async def test_it_shows_an_outsider_nothing(route: str, objects: Ids, rest: Rest, outsider: Rest) -> None:
    missing: Ids = {
        name: uuid.uuid4() if isinstance(one, uuid.UUID) else 10**6 for name, one in objects.items()
    }
    for method in methods(route):
        foreign = await outsider.send(method, fill(route, objects), BODY)
        unknown = await outsider.send(method, fill(route, missing), BODY)
        assert (foreign.status_code, unknown.status_code) == (404, 404), (method, route)
        told, plain = foreign.json(), unknown.json()
        told.pop("request_id"), plain.pop("request_id")
        assert told == plain
    assert (await in_database(Conversation.objects.get)).title == ""
    assert await in_database(Generation.objects.count) == 1


@pytest.mark.parametrize("route", OBJECT_ROUTES)
async def test_it_answers_the_owner(route: str, objects: Ids, rest: Rest) -> None:
    for method in methods(route):
        if method == "DELETE":
            continue
        if route in WAITING:
            await in_database(let_it_wait, objects["generation_id"])
        response = await rest.send(method, fill(route, objects), BODY)
        if route in DECISIONS:
            assert response.status_code == 403, (method, route, response.content)
        else:
            assert response.status_code < 300, (method, route, response.content)


@pytest.mark.parametrize("route", OBJECT_ROUTES + OWN_ROUTES)
async def test_it_asks_everybody_who_they_are(route: str, objects: Ids, rest: Rest) -> None:
    for method in methods(route):
        response = await Rest().send(method, fill(route, objects), BODY)
        assert (response.status_code, response.json()["code"]) == (401, "not_authenticated"), (method, route)


@pytest.fixture
def others(bob: User, charlie: User, root: User) -> dict[str, User]:
    """A teammate, an outsider, staff without and with the permission to see the usage of all, the admin."""
    people = {"teammate": bob, "outsider": charlie, "admin": root}
    for name in ("clerk", "auditor"):
        people[name] = User.objects.create_user(
            name, f"{name}@example.org", f"{name}-password", is_staff=True
        )
    people["auditor"].user_permissions.add(Permission.objects.get(codename="view_usagerollup"))
    return people


async def programs(person: User) -> list[Rest]:
    """The person's programs, one with an API key and one with an access token."""
    return [
        Rest((await in_database(ApiKey.create, user=person))[1]),
        Rest((await in_database(issue, person)).access),
    ]


@pytest.mark.parametrize("who", ["teammate", "outsider", "clerk", "auditor", "admin"])
async def test_it_shows_nobody_else_a_chat(
    who: str, others: dict[str, User], objects: Ids, rest: Rest
) -> None:
    for program in await programs(others[who]):
        for route in OBJECT_ROUTES:
            for method in methods(route):
                if who == "admin" and route in GOVERNED and method != "DELETE":
                    continue  # the matrix of test_api_limit_requests
                response = await program.send(method, fill(route, objects), BODY)
                assert response.status_code == 404, (method, route)
    assert (await in_database(Conversation.objects.get)).title == ""


@pytest.mark.parametrize("who", ["teammate", "outsider", "clerk", "auditor", "admin"])
async def test_it_answers_everybody_about_themselves(
    who: str, others: dict[str, User], objects: Ids, rest: Rest
) -> None:
    for program in await programs(others[who]):
        for route in OWN_ROUTES:
            if "GET" in methods(route):
                response = await program.get(route)
                assert response.status_code == 200, route
                if not response.streaming:
                    assert str(objects["conversation_id"]) not in response.content.decode()
