"""Asking for more, and the admin's one click."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.db import IntegrityError, transaction
from django.test import Client

from billing.accounts import ensure_account, set_plan
from billing.budgets import set_budget
from billing.errors import InvalidAmount
from billing.limit_requests import approve, ask_for_more, decline, withdraw
from billing.models import Budget, LimitRequest, RequestState

pytestmark = pytest.mark.django_db


@pytest.fixture
def budget(alice: User) -> Budget:
    """50,000 tokens a day, from her plan."""
    ensure_account(user_id=alice.pk)
    return Budget.objects.get(scope_kind="user", scope_id=str(alice.pk))


@pytest.fixture
def wish(alice: User, budget: Budget) -> LimitRequest:
    return ask_for_more(
        user_id=alice.pk, budget_id=budget.pk, wanted_units=80_000, reason=" the  report\nis due "
    )


def test_it_gives_what_was_asked_when_an_admin_approves(
    wish: LimitRequest, budget: Budget, root: User
) -> None:
    assert wish.reason == "the report is due"
    assert approve(wish.pk, actor_id=root.pk)
    budget.refresh_from_db()
    assert (budget.limit_units, budget.source, budget.hard) == (80_000, "hand", True)
    wish.refresh_from_db()
    assert (wish.state, wish.decided_by) == (RequestState.APPROVED, root.pk)


def test_it_changes_nothing_when_an_admin_declines(wish: LimitRequest, budget: Budget, root: User) -> None:
    assert decline(wish.pk, actor_id=root.pk)
    budget.refresh_from_db()
    assert budget.limit_units == 50_000


def test_it_is_decided_once(wish: LimitRequest, budget: Budget, root: User) -> None:
    assert decline(wish.pk, actor_id=root.pk)
    assert not approve(wish.pk, actor_id=root.pk)
    assert not withdraw(wish.pk, user_id=wish.user_id)
    budget.refresh_from_db()
    assert budget.limit_units == 50_000


def test_it_keeps_one_pending_request_per_budget(wish: LimitRequest, alice: User, budget: Budget) -> None:
    again = ask_for_more(user_id=alice.pk, budget_id=budget.pk, wanted_units=90_000)
    assert (again.pk, LimitRequest.objects.get().wanted_units) == (wish.pk, 90_000)
    with pytest.raises(IntegrityError), transaction.atomic():
        LimitRequest.objects.create(
            budget=budget, user_id=alice.pk, limit_units=1, wanted_units=2, created_at=wish.created_at
        )


def test_it_never_lowers_a_limit_that_was_raised_meanwhile(
    wish: LimitRequest, alice: User, budget: Budget, root: User
) -> None:
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=100_000, period="day")
    assert approve(wish.pk, actor_id=root.pk)
    budget.refresh_from_db()
    assert budget.limit_units == 100_000


def test_it_brings_no_limit_back_that_is_gone(
    wish: LimitRequest, alice: User, budget: Budget, root: User
) -> None:
    set_plan(user_id=alice.pk, plan="unlimited")
    assert approve(wish.pk, actor_id=root.pk)
    now = Budget.objects.filter(scope_kind="user", scope_id=str(alice.pk), valid_to=None)
    assert all(one.limit_units is None for one in now)


@pytest.mark.parametrize("wanted", [50_000, 1, -1, 0, 10**19])
def test_it_takes_only_a_wish_for_more(alice: User, budget: Budget, wanted: int) -> None:
    with pytest.raises(InvalidAmount):
        ask_for_more(user_id=alice.pk, budget_id=budget.pk, wanted_units=wanted)


def test_it_takes_no_wish_for_somebody_elses_budget(charlie: User, budget: Budget) -> None:
    with pytest.raises(InvalidAmount):
        ask_for_more(user_id=charlie.pk, budget_id=budget.pk, wanted_units=80_000)
    with pytest.raises(InvalidAmount):
        ask_for_more(user_id=charlie.pk, budget_id=10**9, wanted_units=80_000)


def test_it_lets_only_the_asker_withdraw(wish: LimitRequest, alice: User, charlie: User) -> None:
    assert not withdraw(wish.pk, user_id=charlie.pk)
    assert withdraw(wish.pk, user_id=alice.pk)
    wish.refresh_from_db()
    assert wish.state == RequestState.WITHDRAWN


def staff(*permissions: str) -> Client:
    person = User.objects.create_user("clerk", "clerk@example.org", "clerk-password", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client(enforce_csrf_checks=True)
    client.force_login(person)
    return client


def press(client: Client, wish: LimitRequest, button: str) -> int:
    page = client.get("/admin/billing/limitrequest/")
    address = f"/admin/billing/limitrequest/{wish.pk}/{button}/"
    assert f'formaction="{address}"' in page.content.decode()
    token = client.cookies["csrftoken"].value
    return client.post(address, {"csrfmiddlewaretoken": token}).status_code


def test_it_takes_one_click_in_the_admin(wish: LimitRequest, budget: Budget) -> None:
    clerk = staff("view_limitrequest", "change_limitrequest")
    assert clerk.post(f"/admin/billing/limitrequest/{wish.pk}/approve/").status_code == 403  # no token
    assert clerk.get(f"/admin/billing/limitrequest/{wish.pk}/approve/").status_code == 405
    assert press(clerk, wish, "approve") == 302
    budget.refresh_from_db()
    assert budget.limit_units == 80_000
    assert "Approved" in clerk.get("/admin/billing/limitrequest/").content.decode()


def test_it_declines_in_one_click(wish: LimitRequest) -> None:
    assert press(staff("view_limitrequest", "change_limitrequest"), wish, "decline") == 302
    wish.refresh_from_db()
    assert wish.state == RequestState.DECLINED


def test_it_lets_only_those_with_the_permission_decide(wish: LimitRequest) -> None:
    looker = staff("view_limitrequest")
    looker.get("/admin/billing/limitrequest/")
    looker.handler.enforce_csrf_checks = False
    assert looker.post(f"/admin/billing/limitrequest/{wish.pk}/approve/").status_code == 403
    wish.refresh_from_db()
    assert wish.state == RequestState.PENDING
