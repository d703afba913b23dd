"""Near and beyond a limit: previews, confirmation, and options that work."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.budgets import set_budget
from billing.models import Hold
from conversations.exceptions import BudgetRefused, Conflict
from conversations.models import Conversation, Turn
from conversations.queueing import Order, Started
from conversations.turns import start_turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def limit(user: User, tokens: int, **values: object) -> None:
    set_budget(scope="user", scope_id=user.pk, unit="tokens", limit_units=tokens, period="day", **values)  # type: ignore[arg-type]


def send(conversation: Conversation, text: str = "Why?", **values: object) -> Started:
    return start_turn(
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        turn_id=uuid.uuid4(),
        order=Order(text, "demo:friendly", **values),  # type: ignore[arg-type]
    )


def preview(browser: Client, conversation: Conversation, text: str = "Why?") -> dict[str, object]:
    response = browser.post(f"/c/{conversation.pk}/preview/", {"text": text, "model": "demo:friendly"})
    assert response.status_code == 200
    found: dict[str, object] = response.json()
    return found


def test_it_previews_what_the_send_will_hold(
    browser: Client, conversation: Conversation, alice: User
) -> None:
    limit(alice, 50_000)
    seen = preview(browser, conversation)
    assert not Hold.objects.exists()
    started = send(conversation)
    assert started.estimate == {
        "input_tokens": seen["input_tokens"],
        "max_output_tokens": seen["max_output_tokens"],
        "cost_usd": seen["cost_usd"],
    }
    hold = Hold.objects.get()
    leaves = 50_000 - hold.input_tokens - hold.output_cap_tokens
    assert seen["leaves"] == {"amount": leaves, "unit": "tokens", "period": "day", "scope": "user"}
    assert seen["confirm"] is False


def test_it_previews_a_refusal(browser: Client, conversation: Conversation, alice: User) -> None:
    limit(alice, 20)
    refusal = preview(browser, conversation)["refusal"]
    assert isinstance(refusal, dict)
    assert refusal["code"] == "budget_exceeded"
    assert refusal["resets_at"]


def test_it_previews_the_usual_length_where_the_field_holds_no_length(
    browser: Client, conversation: Conversation
) -> None:
    fields = {"text": "Why?", "model": "demo:friendly", "max_output_tokens": "9" * 5000}
    response = browser.post(f"/c/{conversation.pk}/preview/", fields)
    assert response.json() == preview(browser, conversation)


def test_it_previews_nothing_for_others_and_nothing_too_long(
    client: Client, charlie: User, browser: Client, conversation: Conversation
) -> None:
    url = f"/c/{conversation.pk}/preview/"
    assert browser.post(url, {"text": " "}).status_code == 422
    assert browser.post(url, {"text": "x" * 4001}).json()["code"] == "message_too_long"
    client.force_login(charlie)
    assert client.post(url, {"text": "Why?"}).status_code == 404


def test_it_asks_for_confirmation_near_the_limit_and_keeps_nothing(
    conversation: Conversation, alice: User
) -> None:
    limit(alice, 4200)
    with pytest.raises(Conflict) as refused:
        send(conversation, confirmed=False)
    assert refused.value.code == "confirm_required"
    assert [option["action"] for option in refused.value.options] == ["confirm", "cancel"]
    assert refused.value.estimate
    assert not Hold.objects.exists()
    assert not Turn.objects.exists()
    send(conversation, confirmed=True)


def test_it_asks_nobody_below_90_percent(conversation: Conversation, alice: User) -> None:
    limit(alice, 50_000)
    assert send(conversation, confirmed=False).claim


def test_it_asks_nobody_for_a_soft_budget(conversation: Conversation, alice: User) -> None:
    limit(alice, 4200, hard=False)
    assert send(conversation, confirmed=False).claim


def test_it_offers_a_shorter_answer_that_is_let_through(conversation: Conversation, alice: User) -> None:
    limit(alice, 200)
    with pytest.raises(BudgetRefused) as refused:
        send(conversation)
    options = {option["action"]: option for option in refused.value.options}
    assert set(options) == {"shorter_answer", "ask_more", "wait"}
    assert send(conversation, max_output_tokens=options["shorter_answer"]["max_output_tokens"]).claim


def test_it_offers_another_model_where_the_budget_is_one_models(
    conversation: Conversation, alice: User
) -> None:
    limit(alice, 10, model="demo:friendly")
    with pytest.raises(BudgetRefused) as refused:
        send(conversation)
    offered = [option["model"] for option in refused.value.options if option["action"] == "model"]
    assert offered
    assert "demo:friendly" not in offered
    other = Order("Why?", offered[0])
    turn_id = uuid.uuid4()
    assert start_turn(user_id=alice.pk, conversation_id=conversation.pk, turn_id=turn_id, order=other).claim


def test_it_offers_a_new_conversation_where_this_ones_budget_is_used_up(conversation: Conversation) -> None:
    set_budget(scope="conversation", scope_id=conversation.pk, unit="tokens", limit_units=10, period="none")
    with pytest.raises(BudgetRefused) as refused:
        send(conversation)
    assert [option["action"] for option in refused.value.options] == ["new_conversation"]
