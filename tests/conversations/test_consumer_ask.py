"""Asking over the WebSocket: the answer streams, is stored and is paid for."""

from __future__ import annotations

import uuid

import pytest
from billing.models import Hold, LedgerEntry
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
    assert (generation.state, generation.text) == (State.COMPLETED, end["text"])
    entry = await in_database(LedgerEntry.objects.get, hold_id=generation.hold_id)
    assert entry.output_visible_tokens == 20
    hold = await in_database(Hold.objects.get, pk=generation.hold_id)
    assert hold.state == "settled"
    turn = await in_database(Turn.objects.get, turn_id=turn_id)
    assert (await refreshed(conversation)).head_turn_id == turn.pk
