"""The context over REST: read it, change it, and see what the change comes to."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User

from billing.budgets import set_budget
from conversations.database import in_database
from conversations.exceptions import BudgetRefused
from conversations.models import ContextPolicy, Conversation, Generation, Preferences, Summary, Turn
from conversations.queueing import Order
from conversations.runtime import get_runtime
from conversations.turns import start_turn
from tests.conversations.branches_made import long_talk
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


def path(conversation: Conversation) -> str:
    return f"conversations/{conversation.pk}/context/"


def mark(turn: Turn, role: str, mark: str) -> dict[str, str]:
    return {"turn_id": str(turn.turn_id), "role": role, "mark": mark}


async def test_it_shows_each_message_and_what_the_next_send_takes(
    conversation: Conversation, rest: Rest
) -> None:
    conversation.system_prompt = "Be brief."
    await in_database(conversation.save)
    talk = await in_database(long_talk, conversation, 2)
    found = (await rest.get(path(conversation), text="And now?", model="demo:0-5-0")).json()
    assert [one["status"] for one in found["messages"]] == ["in"] * 4
    assert found["messages"][0] == {
        "turn_id": str(talk[0].turn_id),
        "role": "user",
        "excerpt": "question 0",
        "tokens": found["messages"][0]["tokens"],
        "status": "in",
        "mark": "",
    }
    assert found["messages"][1]["excerpt"].endswith("…")
    assert sum(found["breakdown"].values()) == found["next"]["input_tokens"] == found["input_tokens"]
    assert found["breakdown"]["answers"] == sum(one["tokens"] for one in found["messages"][1::2])
    answer = await rest.post(
        f"conversations/{conversation.pk}/messages/", {"text": "And now?", "model": "demo:0-5-0"}
    )
    assert answer.json()["receipt"]["input_tokens"] == found["input_tokens"]
    assert answer.json()["receipt"]["breakdown"] == found["breakdown"]


async def test_it_does_not_count_long_messages_that_are_not_sent(
    conversation: Conversation, rest: Rest
) -> None:
    await in_database(long_talk, conversation, 9, words=500)
    body = {"policy": "last_2000_tokens"}
    found = (await rest.patch(path(conversation), body)).json()["messages"]
    answers = {one["status"]: one["tokens"] for one in found if one["role"] == "assistant"}
    assert answers["in"] == 508
    assert answers["dropped"] == (500 * 5 + 9) // 4


async def test_it_pins_and_excludes_and_the_send_obeys(conversation: Conversation, rest: Rest) -> None:
    talk = await in_database(long_talk, conversation, 3)
    before = (await rest.get(path(conversation))).json()
    marks = [mark(talk[0], "user", "pinned"), mark(talk[1], "assistant", "excluded")]
    after = (await rest.patch(path(conversation), {"marks": marks})).json()
    assert [one["status"] for one in after["messages"]] == ["pinned", "in", "in", "excluded", "in", "in"]
    assert after["input_tokens"] == before["input_tokens"] - before["messages"][3]["tokens"]
    again = (await rest.patch(path(conversation), {"marks": [mark(talk[1], "assistant", "")]})).json()
    assert again["input_tokens"] == before["input_tokens"]


async def test_it_marks_the_version_that_is_shown(conversation: Conversation, rest: Rest) -> None:
    talk = await in_database(long_talk, conversation, 1)
    await rest.patch(path(conversation), {"marks": [mark(talk[0], "assistant", "excluded")]})
    await rest.post(f"turns/{talk[0].turn_id}/regenerate/", {"model": "demo:0-5-0"})
    # The new version is another text, about which nobody has decided.
    assert (await rest.get(path(conversation))).json()["messages"][1]["status"] == "in"


async def test_it_keeps_the_mark_of_an_answer_that_is_continued(
    conversation: Conversation, rest: Rest
) -> None:
    talk = await in_database(long_talk, conversation, 1)
    await in_database(Generation.objects.update, finish_reason="length")
    await rest.patch(path(conversation), {"marks": [mark(talk[0], "assistant", "pinned")]})
    await rest.post(f"turns/{talk[0].turn_id}/continue/", {})
    assert (await rest.get(path(conversation))).json()["messages"][1]["status"] == "pinned"


async def test_it_changes_the_policy_here_and_as_the_default(
    conversation: Conversation, alice: User, rest: Rest
) -> None:
    await in_database(long_talk, conversation, 9)
    found = (await rest.patch(path(conversation), {"policy": "last_10_messages"})).json()
    assert [one["status"] for one in found["messages"]] == ["dropped"] * 8 + ["in"] * 10
    assert (found["policy"], found["default_policy"]) == ("last_10_messages", "auto")
    body = {"policy": "last_2000_tokens", "as_default": True}
    assert (await rest.patch(path(conversation), body)).json()["default_policy"] == "last_2000_tokens"
    other = await in_database(Conversation.objects.create, owner=alice)
    assert (await rest.get(path(other))).json()["policy"] == ContextPolicy.LAST_2000_TOKENS
    assert (await in_database(Preferences.objects.get)).context_policy == "last_2000_tokens"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"policy": "everything"}, 422),
        ({"marks": [{"turn_id": str(uuid.uuid4()), "role": "system", "mark": ""}]}, 422),
        ({"marks": [{"turn_id": str(uuid.uuid4()), "role": "user", "mark": "loved"}]}, 422),
        ({"marks": [{"turn_id": str(uuid.uuid4()), "role": "user", "mark": "pinned"}] * 501}, 422),
        ({"policy": "auto", "marks": [{"turn_id": str(uuid.uuid4()), "role": "user", "mark": ""}]}, 404),
    ],
)
async def test_it_refuses_what_makes_no_sense_and_changes_nothing(
    conversation: Conversation, rest: Rest, body: dict[str, Any], status: int
) -> None:
    assert (await rest.patch(path(conversation), body)).status_code == status
    await in_database(conversation.refresh_from_db)
    assert conversation.context_policy == ""


async def test_it_marks_nothing_of_another_conversation(
    conversation: Conversation, alice: User, rest: Rest
) -> None:
    other = await in_database(Conversation.objects.create, owner=alice)
    talk = await in_database(long_talk, other, 1)
    answer = await rest.patch(path(conversation), {"marks": [mark(talk[0], "user", "excluded")]})
    assert answer.status_code == 404
    assert (await in_database(Turn.objects.get)).context_mark == ""


async def test_it_offers_a_summary_when_the_context_has_grown(
    conversation: Conversation, rest: Rest, settings: Any
) -> None:
    await in_database(long_talk, conversation, 12)
    saving = (await rest.get(path(conversation))).json()["saving"]
    assert saving["offered"] is False
    assert saving["messages"] == 16
    assert saving["after_tokens"] < saving["before_tokens"]
    settings.SUMMARY_OFFER_EXCHANGES = 12
    assert (await rest.get(path(conversation))).json()["saving"]["offered"] is True
    settings.SUMMARY_OFFER_EXCHANGES = 99
    settings.SUMMARY_OFFER_TOKENS = 500
    assert (await rest.get(path(conversation))).json()["saving"]["offered"] is True


# --- Options of a refusal -----------------------------------------------------


def refused(conversation: Conversation, **values: Any) -> dict[str, dict[str, Any]]:
    with pytest.raises(BudgetRefused) as error:
        start_turn(
            user_id=conversation.owner_id,
            conversation_id=conversation.pk,
            turn_id=uuid.uuid4(),
            order=Order("And then?", "demo:friendly", **values),
        )
    return {option["action"]: option for option in error.value.options}


def limit(alice: User, tokens: int) -> None:
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=tokens, period="day")


def test_it_offers_to_leave_the_older_messages_out(conversation: Conversation, alice: User) -> None:
    long_talk(conversation, 12)  # about 700 tokens
    limit(alice, 600)
    options = refused(conversation)
    assert "summarise" not in options  # it would have to read them all
    assert options["without_history"]["label"] == "Send without older messages"
    order = Order("And then?", "demo:friendly", history=False)
    started = start_turn(user_id=alice.pk, conversation_id=conversation.pk, turn_id=uuid.uuid4(), order=order)
    assert started.claim is not None
    assert [one.text for one in started.claim.request.messages] == ["And then?"]


def test_it_offers_nothing_that_would_not_help(conversation: Conversation, alice: User) -> None:
    long_talk(conversation, 12)
    limit(alice, 40)
    assert set(refused(conversation)) == {"ask_more", "wait"}


async def test_it_offers_a_summary_by_another_model_that_lets_the_message_through(
    conversation: Conversation, alice: User, rest: Rest
) -> None:
    await in_database(long_talk, conversation, 12, words=300)
    # This model has tokens for a question after a summary, which another one can make.
    await in_database(
        set_budget,
        scope="user",
        scope_id=alice.pk,
        unit="tokens",
        limit_units=2600,
        period="day",
        model="demo:friendly",
    )
    options = await in_database(refused, conversation)
    assert options["summarise"]["summary_model"] == "demo:500-200-20"
    response = await rest.post(f"conversations/{conversation.pk}/summary/", {"model": "demo:0-1000-0"})
    assert response.status_code == 202
    chores = get_runtime()._chores
    async with asyncio.timeout(10):
        while await in_database(Summary.objects.live().exists):
            await asyncio.wait([*chores], timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
    started = await in_database(
        start_turn,
        user_id=alice.pk,
        conversation_id=conversation.pk,
        turn_id=uuid.uuid4(),
        order=Order("And then?", "demo:friendly"),
    )
    assert started.claim is not None


def test_it_offers_no_summary_where_one_budget_pays_for_both(conversation: Conversation, alice: User) -> None:
    long_talk(conversation, 12, words=300)
    limit(alice, 3700)
    assert "summarise" not in refused(conversation)


def test_it_offers_no_older_messages_where_there_are_none(conversation: Conversation, alice: User) -> None:
    limit(alice, 100)
    assert "without_history" not in refused(conversation)
