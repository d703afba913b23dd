"""Limits of one's own and requests for more, over REST: who may do what, and what follows."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from billing.budgets import meters, set_budget
from billing.limit_requests import ask_for_more
from billing.models import Budget, LimitRequest
from conversations.database import in_database
from conversations.models import ApiKey
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 1000


@pytest.fixture
def budget(alice: User) -> Budget:
    return set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=LIMIT, period="week")


@pytest.fixture
def wish(budget: Budget, alice: User) -> LimitRequest:
    return ask_for_more(user_id=alice.pk, budget_id=budget.pk, wanted_units=5000, reason="A report.")


@pytest.fixture
def people(alice: User, bob: User, charlie: User, root: User) -> dict[str, Rest]:
    """The owner, a teammate, an outsider; staff who may do nothing, look, or answer; an admin."""
    found = {"owner": alice, "teammate": bob, "outsider": charlie, "admin": root}
    for name, permission in (("staff", None), ("viewer", "view"), ("decider", "change")):
        found[name] = User.objects.create_user(name, password=f"{name}-password", is_staff=True)
        if permission:
            granted = Permission.objects.get(codename=f"{permission}_limitrequest")
            found[name].user_permissions.add(granted)
    return {name: Rest(ApiKey.create(user=person)[1]) for name, person in found.items()}


async def limit_of(budget: Budget) -> int | None:
    found = await in_database(lambda: meters(user_id=int(budget.scope_id)))
    return next(one.limit for one in found if (one.scope, one.unit, one.period) == ("user", "tokens", "week"))


async def test_it_asks_for_more_and_changes_its_mind(budget: Budget, rest: Rest) -> None:
    body = {"budget_id": budget.pk, "wanted": 3000, "reason": "A  report."}
    first = await rest.post("limit-requests/", body)
    assert first.status_code == 201
    made = first.json()
    assert (made["limit"], made["wanted"], made["unit"], made["period"]) == (LIMIT, 3000, "tokens", "week")
    assert (made["state"], made["reason"], made["decided_at"]) == ("pending", "A report.", None)
    again = (await rest.post("limit-requests/", {**body, "wanted": "4,000"})).json()
    assert (again["id"], again["wanted"]) == (made["id"], 4000)
    assert (await rest.get(f"limit-requests/{made['id']}/")).json() == again
    assert (await rest.delete(f"limit-requests/{made['id']}/")).status_code == 204
    gone = await rest.delete(f"limit-requests/{made['id']}/")
    assert (gone.status_code, gone.json()["code"]) == (409, "already_decided")


@pytest.mark.parametrize("wanted", [LIMIT, -5, "many", 1.5, True, None, "9" * 41, [1], "1e999"])
async def test_it_wants_a_higher_amount(wanted: Any, budget: Budget, rest: Rest) -> None:
    response = await rest.post("limit-requests/", {"budget_id": budget.pk, "wanted": wanted})
    assert (response.status_code, response.json()["code"]) == (422, "invalid")
    assert list(response.json()["errors"]) == ["wanted"]


async def test_money_is_dollars(alice: User, rest: Rest) -> None:
    money = await in_database(
        lambda: set_budget(
            scope="user", scope_id=alice.pk, unit="nanousd", limit_units=2 * 10**9, period="month"
        )
    )
    made = (await rest.post("limit-requests/", {"budget_id": money.pk, "wanted": "2.5"})).json()
    assert (made["limit"], made["wanted"], made["unit"]) == ("2", "2.5", "usd")


WHO = ("owner", "teammate", "outsider", "staff", "viewer", "decider", "admin")


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("GET", "limit-requests/{}/", (200, 404, 404, 404, 200, 200, 200)),
        ("POST", "limit-requests/{}/approve/", (403, 404, 404, 404, 403, 200, 200)),
        ("POST", "limit-requests/{}/decline/", (403, 404, 404, 404, 403, 200, 200)),
        ("DELETE", "limit-requests/{}/", (204, 404, 404, 404, 404, 404, 404)),
        ("GET", "limit-requests/?scope=all", (403, 403, 403, 403, 200, 200, 200)),
        ("GET", "limit-requests/", (200, 200, 200, 200, 200, 200, 200)),
    ],
)
async def test_who_may(
    method: str, path: str, statuses: tuple[int, ...], wish: LimitRequest, people: dict[str, Rest], rest: Rest
) -> None:
    for who, status in zip(WHO, statuses, strict=True):
        await in_database(
            lambda: LimitRequest.objects.filter(pk=wish.pk).update(state="pending", decided_at=None)
        )
        response = await people[who].send(method, path.format(wish.pk))
        assert response.status_code == status, (who, response.content)
        if path == "limit-requests/":
            assert len(response.json()["results"]) == (who == "owner")


async def test_an_admin_approves_once(
    budget: Budget, wish: LimitRequest, people: dict[str, Rest], rest: Rest
) -> None:
    address = f"limit-requests/{wish.pk}/"
    approved = (await people["decider"].post(f"{address}approve/")).json()
    assert approved["state"] == "approved"
    assert approved["decided_at"] is not None
    assert await limit_of(budget) == 5000
    for verb in ("approve", "decline"):
        again = await people["admin"].post(f"{address}{verb}/")
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")
    assert (await rest.get("limit-requests/")).json()["results"][0]["state"] == "approved"


async def test_an_admin_declines(
    budget: Budget, wish: LimitRequest, people: dict[str, Rest], rest: Rest
) -> None:
    assert (await people["admin"].post(f"limit-requests/{wish.pk}/decline/")).json()["state"] == "declined"
    assert await limit_of(budget) == LIMIT


async def test_it_lists_page_by_page(
    alice: User, budget: Budget, people: dict[str, Rest], rest: Rest
) -> None:
    def ask_three_times() -> None:
        for wanted in (2000, 3000, 4000):
            LimitRequest.objects.update(state="withdrawn", decided_at="2026-01-01T00:00Z")
            ask_for_more(user_id=alice.pk, budget_id=budget.pk, wanted_units=wanted)

    await in_database(ask_three_times)
    page = (await people["admin"].get("limit-requests/", scope="all", limit=2)).json()
    assert [one["wanted"] for one in page["results"]] == [4000, 3000]
    rest_of_it = (await people["admin"].get(page["next"].removeprefix("http://testserver"))).json()
    assert ([one["wanted"] for one in rest_of_it["results"]], rest_of_it["next"]) == ([2000], None)
    waiting = (await rest.get("limit-requests/", state="pending")).json()["results"]
    assert [one["wanted"] for one in waiting] == [4000]
    assert (await rest.get("limit-requests/", state="lost")).json()["code"] == "malformed"


async def test_one_s_own_limit(budget: Budget, rest: Rest, outsider: Rest) -> None:
    made = await rest.post("budgets/", {"unit": "tokens", "period": "week", "limit": 400})
    assert made.status_code == 201
    own = made.json()
    assert (own["scope"], own["limit"], own["hard"]) == ("own", 400, True)
    higher = await rest.post("budgets/", {"unit": "tokens", "period": "week", "limit": LIMIT})
    assert (higher.status_code, list(higher.json()["errors"])) == (422, ["limit"])
    money = (await rest.post("budgets/", {"unit": "usd", "period": "month", "limit": "0.75"})).json()
    assert (money["unit"], money["limit"]) == ("usd", "0.75")
    assert (await outsider.delete(f"budgets/{own['id']}/")).status_code == 404
    assert (await rest.delete(f"budgets/{budget.pk}/")).status_code == 404
    assert (await rest.delete(f"budgets/{own['id']}/")).status_code == 204
    scopes = [
        one["scope"] for one in (await rest.get("budgets/")).json()["results"] if one["unit"] == "tokens"
    ]
    assert "own" not in scopes
