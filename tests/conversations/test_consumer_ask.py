"""Asking over the WebSocket: the answer streams, is stored and is paid for, once."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import User

from billing.budgets import set_budget
from billing.models import Bucket, Hold, LedgerEntry
from billing.prices import TierPrice, set_price
from conversations.database import in_database
from conversations.models import Conversation, Generation, State, Turn
from tests.conversations.conftest import OpenSocket, refreshed

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_streams_an_answer_with_numbered_deltas_and_a_receipt(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()

    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-20-0")
    accepted = await socket.until("turn.accepted")
    end = await socket.until_end()

    assert accepted["turn_id"] == str(turn_id)
    assert accepted["estimate"]["max_output_tokens"] >= 20
    assert end["type"] == "generation.completed"
    deltas = socket.deltas(end["generation_id"])
    assert [seq for seq, _ in deltas] == list(range(1, 21))
    assert "".join(text for _, text in deltas) == end["text"]
    assert end["receipt"]["output_tokens"] == 20
    assert end["receipt"]["estimated"] is False
    types = [event["type"] for event in socket.events]
    assert types.index("turn.accepted") < types.index("generation.started") < types.index("delta")
    generation = await in_database(Generation.objects.get, pk=end["generation_id"])
    assert (generation.state, generation.text, generation.seq) == (State.COMPLETED, end["text"], 20)
    entry = await in_database(LedgerEntry.objects.get, hold_id=generation.hold_id)
    assert entry.output_visible_tokens == 20
    hold = await in_database(Hold.objects.get, pk=generation.hold_id)
    assert hold.state == "settled"
    turn = await in_database(Turn.objects.get, turn_id=turn_id)
    assert (await refreshed(conversation)).head_turn_id == turn.pk
    assert conversation.title == "Hello"


async def test_it_renders_the_answer_and_shows_it_to_be_safe_html(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Show me a table", model="demo:friendly")
    end = await socket.until_end()
    assert "<table>" in end["html"]
    assert "<script" not in end["html"]


async def test_it_remembers_earlier_turns_in_the_next_call(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    estimates = []
    for text in ("first question", "second question"):
        await socket.send("turn.create", turn_id=uuid.uuid4(), text=text, model="demo:0-30-0")
        estimates.append((await socket.until("turn.accepted"))["estimate"]["input_tokens"])
        await socket.until_end()
    assert estimates[1] > estimates[0] + 30
    path = await in_database(lambda: Conversation.objects.get(pk=conversation.pk).path())
    assert [turn.text for turn in path] == ["first question", "second question"]
    assert path[1].parent_id == path[0].pk


async def test_it_starts_one_generation_for_a_frame_sent_twice(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    for _ in range(2):
        await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0")
    first = await socket.until("turn.accepted")
    second = await socket.until("turn.accepted")
    await socket.until_end()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0")
    third = await socket.until("turn.accepted")
    end = await socket.until_end()
    assert first["generation_id"] == second["generation_id"] == third["generation_id"]
    assert end["generation_id"] == first["generation_id"]
    assert await in_database(Generation.objects.count) == 1
    assert await in_database(LedgerEntry.objects.count) == 1


async def test_it_refuses_the_same_id_with_another_text(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-1-0")
    await socket.until_end()
    await socket.send("turn.create", turn_id=turn_id, text="Something else", model="demo:0-1-0")
    refused = await socket.until("turn.refused")
    assert refused["code"] == "id_conflict"
    assert await in_database(Generation.objects.count) == 1


async def test_it_lets_two_conversations_use_the_same_turn_id(
    alice: User, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    other = await in_database(Conversation.objects.create, owner=alice)
    turn_id = uuid.uuid4()
    for place in (conversation, other):
        socket = await open_socket(place.pk, alice_key)
        await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-1-0")
        assert (await socket.until_end())["type"] == "generation.completed"


async def test_it_refuses_a_second_question_while_an_answer_is_written(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="One", model="demo:0-500-20")
    await socket.until("delta")
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Two", model="demo:0-1-0")
    refused = await socket.until("turn.refused")
    assert refused["code"] == "conversation_busy"
    assert await in_database(Turn.objects.count) == 1


async def test_it_refuses_what_a_hard_budget_does_not_allow_and_stores_nothing(
    alice: User, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    await in_database(
        set_budget, scope="user", scope_id=alice.pk, unit="tokens", limit_units=300, period="day"
    )
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="word " * 700, model="demo:0-5-0")
    refused = await socket.until("turn.refused")
    assert refused["code"] == "budget_exceeded"
    assert "300 tokens" in refused["detail"] or "left" in refused["detail"]
    assert refused["resets_at"].endswith("Z")
    assert await in_database(Turn.objects.count) == 0
    assert await in_database(Hold.objects.count) == 0


async def test_it_cuts_the_answer_to_what_the_budget_has_left(
    alice: User, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    await in_database(
        set_budget, scope="user", scope_id=alice.pk, unit="tokens", limit_units=400, period="day"
    )
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-1000-0")
    accepted = await socket.until("turn.accepted")
    end = await socket.until_end()
    cap = accepted["estimate"]["max_output_tokens"]
    assert cap < 400
    assert end["receipt"]["output_tokens"] == cap
    assert end["finish_reason"] == "length"
    buckets = await in_database(lambda: list(Bucket.objects.filter(budget__limit_units=400)))
    assert [(bucket.held, bucket.slack) for bucket in buckets] == [(0, 0)]
    assert buckets[0].posted <= 400


async def test_it_tells_the_cost_by_the_price_of_the_model(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    price = TierPrice(input_picousd=1_000_000, output_picousd=2_000_000)
    await in_database(set_price, model="demo:0-10-0", tiers=[price])
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-10-0")
    receipt = (await socket.until_end())["receipt"]
    expected = (Decimal(receipt["input_tokens"]) * 1 + Decimal(10) * 2) / 1_000_000
    assert Decimal(receipt["cost_usd"]) == expected


async def test_it_shows_the_same_in_a_second_tab_at_the_same_time(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    first = await open_socket(conversation.pk, alice_key)
    second = await open_socket(conversation.pk, alice_key)
    await first.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-30-1")
    ends = [await first.until_end(), await second.until_end()]
    assert ends[0] == ends[1]
    generation_id = ends[0]["generation_id"]
    assert first.deltas(generation_id) == second.deltas(generation_id)
    updated = [event for event in second.events if event["type"] == "conversation.updated"]
    assert [event["text"] for event in updated if event["change"] == "turn"] == ["Hello"]


async def test_it_tells_the_budget_after_each_answer(
    alice: User, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-10-0")
    end = await socket.until_end()
    changed = await socket.until("budget.changed")
    assert changed["unit"] == "tokens"
    assert changed["used"] == end["receipt"]["total_tokens"]
    assert changed["held"] == 0
