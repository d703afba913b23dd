"""From a refused message to an admin's click and back: asking for more of what stands in the way."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.budgets import set_budget
from billing.models import Budget, LimitRequest
from billing.own_limits import set_own_limit
from conversations.exceptions import BudgetRefused
from conversations.models import Conversation
from conversations.queueing import Order, Started
from conversations.turns import start_turn
from tests.usage.making import call

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def admin(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


@pytest.fixture
def chat(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice, title="Tides")


def limit(user: User, units: int, *, unit: str = "tokens") -> Budget:
    return set_budget(scope="user", scope_id=user.pk, unit=unit, limit_units=units, period="day")


def send(chat: Conversation, turn_id: uuid.UUID | None = None) -> Started:
    order = Order("Why?", "demo:friendly")
    key = turn_id or uuid.uuid4()
    return start_turn(user_id=chat.owner_id, conversation_id=chat.pk, turn_id=key, order=order)


def options(chat: Conversation, turn_id: uuid.UUID | None = None) -> dict[str, dict[str, Any]]:
    with pytest.raises(BudgetRefused) as refused:
        send(chat, turn_id)
    return {option["action"]: option for option in refused.value.options}


def text(response: Any, status: int = 200) -> str:
    assert response.status_code == status
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.mark.parametrize(("unit", "units"), [("tokens", 300), ("nanousd", 20_000)])
def test_it_goes_from_the_refusal_to_the_click_and_through(
    unit: str, units: int, page: Client, admin: Client, alice: User, chat: Conversation
) -> None:
    budget = limit(alice, units, unit=unit)
    call(alice, conversation_id=chat.pk, tokens=(100, 16))
    turn_id = uuid.uuid4()
    option = options(chat, turn_id)["ask_more"]
    assert option["budget_id"] == budget.pk

    shown = text(page.get(option["url"]))
    assert f'name="wanted" inputmode="decimal" required value="{option["wanted"]}"' in shown
    assert "would let your message through" in shown
    assert f'href="/c/{chat.pk}/">Back to the conversation' in shown

    sent = text(page.post(option["url"], {"wanted": option["wanted"], "reason": "a report"}, follow=True))
    assert "Your request was sent." in sent
    assert "no answer yet" in sent
    assert "Change the request" in sent

    waiting = text(admin.get("/admin/billing/limitrequest/"))
    assert "a report" in waiting
    wish = LimitRequest.objects.get()
    done = text(admin.post(f"/admin/billing/limitrequest/{wish.pk}/approve/", follow=True))
    assert "Approved." in done
    # At its full length: nothing is cut, so what was proposed was enough.
    started = send(chat, turn_id)
    assert started.claim is not None
    assert started.claim.request.max_output_tokens == started.claim.profile.default_output_tokens
    assert "was approved on" in text(page.get("/usage/"))


def test_it_tells_that_an_admin_declined(page: Client, admin: Client, alice: User) -> None:
    budget = limit(alice, 300)
    page.post(f"/usage/budgets/{budget.pk}/ask/", {"wanted": "80,000"})
    assert "You asked for 80,000 tokens; no answer yet." in text(page.get("/usage/"))
    wish = LimitRequest.objects.get()
    admin.post(f"/admin/billing/limitrequest/{wish.pk}/decline/")
    shown = text(page.get("/usage/"))
    assert "Your request for 80,000 tokens was declined on" in shown
    assert f'href="/usage/budgets/{budget.pk}/ask/"' in shown  # and may ask again


def test_it_is_changed_and_taken_back(page: Client, alice: User) -> None:
    budget = limit(alice, 300)
    address = f"/usage/budgets/{budget.pk}/ask/"
    page.post(address, {"wanted": "400"})
    assert 'value="400"' in text(page.get(address))
    page.post(address, {"wanted": "500", "reason": "more"})
    wish = LimitRequest.objects.get()
    assert (wish.wanted_units, wish.reason) == (500, "more")
    page.post(f"/usage/requests/{wish.pk}/withdraw/")
    wish.refresh_from_db()
    assert wish.state == "withdrawn"
    shown = text(page.get("/usage/"))
    assert "You asked for" not in shown
    assert "Your request for" not in shown


@pytest.mark.parametrize("wanted", ["300", "299", "", "many", "1e30", "-5", "NaN"])
def test_it_says_why_it_cannot_be_asked_and_keeps_what_was_typed(
    wanted: str, page: Client, alice: User
) -> None:
    budget = limit(alice, 300)
    shown = text(page.post(f"/usage/budgets/{budget.pk}/ask/", {"wanted": wanted, "reason": "<b>"}), 422)
    assert 'role="alert"' in shown
    assert f'value="{wanted}"' in shown
    assert 'value="&lt;b&gt;"' in shown
    assert not LimitRequest.objects.exists()


@pytest.mark.parametrize(
    "query",
    [
        "wanted=x",
        "wanted=1",
        "wanted=%00",
        "conversation=x",
        "conversation=00000000-0000-4000-8000-000000000001",
    ],
)
def test_it_takes_no_harm_from_a_link(query: str, page: Client, alice: User) -> None:
    shown = text(page.get(f"/usage/budgets/{limit(alice, 300).pk}/ask/?{query}"))
    assert "would let" not in shown
    assert "Back to the conversation" not in shown


def test_it_offers_what_helps_for_each_kind_of_limit(alice: User, bob: User, chat: Conversation) -> None:
    set_own_limit(user_id=alice.pk, unit="tokens", period="day", limit_units=40)
    found = options(chat)
    assert found["own_limit"]["url"] == "/usage/#budgets"
    assert "ask_more" not in found
    theirs = Conversation.objects.create(owner=bob)
    set_budget(scope="everyone", unit="tokens", limit_units=40, period="month")
    assert not {"ask_more", "own_limit"} & set(options(theirs))
