"""Retry, regenerate, continue and edit over the socket: siblings, with the old ones kept."""

from __future__ import annotations

import uuid

import pytest

from conversations.database import in_database
from conversations.models import Conversation, Generation, Turn
from tests.conversations.conftest import OpenSocket

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_regenerates_with_another_model_and_keeps_the_old_version(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id, generation_id = uuid.uuid4(), uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0")
    first = await socket.until_end()
    await socket.send(
        "turn.regenerate",
        turn_id=turn_id,
        generation_id=generation_id,
        model="demo:0-9-0",
        temperature=0.2,
    )
    second = await socket.until_end()
    assert (second["generation_id"], second["seq"]) == (str(generation_id), 9)
    turn = await in_database(Turn.objects.get, turn_id=turn_id)
    assert turn.chosen_id == generation_id
    versions = await in_database(lambda: list(turn.generations.order_by("created_at")))
    assert [str(version.pk) for version in versions] == [first["generation_id"], str(generation_id)]
    assert versions[1].temperature == 0.2
    assert versions[0].text == first["text"]


async def test_it_retries_with_the_model_of_the_failed_answer(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0!die@2")
    await socket.until_end()
    generation_id = uuid.uuid4()
    for _ in range(2):
        await socket.send("turn.retry", turn_id=turn_id, generation_id=generation_id)
    end = await socket.until_end()
    assert end["generation_id"] == str(generation_id)
    generation = await in_database(Generation.objects.get, pk=generation_id)
    assert generation.model == "demo:0-5-0!die@2"
    assert await in_database(Generation.objects.count) == 2


async def test_it_continues_after_the_cut_with_its_own_numbers_and_receipt(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id, generation_id = uuid.uuid4(), uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-30-0!die@10")
    first = await socket.until_end()
    await socket.send("turn.continue", turn_id=turn_id, generation_id=generation_id)
    started = await socket.until("generation.started")
    second = await socket.until_end()
    assert started["continues"] == first["generation_id"]
    assert socket.deltas(str(generation_id))[0][0] == 1
    assert second["receipt"]["entry_id"] != first["receipt"]["entry_id"]
    answer = await in_database(lambda: Generation.objects.get(pk=generation_id).answer_text())
    assert answer.startswith(first["text"])


async def test_it_edits_an_earlier_question_as_a_branch(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    first, second, edited = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    for turn_id, text in ((first, "One"), (second, "Two")):
        await socket.send("turn.create", turn_id=turn_id, text=text, model="demo:0-3-0")
        await socket.until_end()
    await socket.send("turn.edit", turn_id=second, new_turn_id=edited, text="Two, in other words")
    await socket.until_end()
    path = await in_database(lambda: Conversation.objects.get(pk=conversation.pk).path())
    assert [turn.text for turn in path] == ["One", "Two, in other words"]
    assert await in_database(Turn.objects.filter(turn_id=second).exists)


@pytest.mark.parametrize("type_", ["turn.retry", "turn.continue", "turn.regenerate"])
async def test_it_refuses_versions_of_an_unknown_turn(
    type_: str, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send(type_, turn_id=uuid.uuid4(), generation_id=uuid.uuid4())
    assert (await socket.until("turn.refused"))["code"] == "not_found"


async def test_it_refuses_to_continue_an_answer_without_text(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text="Hello", model="demo:0-5-0!block")
    await socket.until_end()
    await socket.send("turn.continue", turn_id=turn_id, generation_id=uuid.uuid4())
    assert (await socket.until("turn.refused"))["code"] == "nothing_to_continue"


async def test_it_refuses_a_generation_id_of_another_turn(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    first, second = uuid.uuid4(), uuid.uuid4()
    await socket.send("turn.create", turn_id=first, text="One", model="demo:0-3-0")
    used = (await socket.until_end())["generation_id"]
    await socket.send("turn.create", turn_id=second, text="Two", model="demo:0-3-0")
    await socket.until_end()
    await socket.send("turn.regenerate", turn_id=second, generation_id=used)
    assert (await socket.until("turn.refused"))["code"] == "id_conflict"
