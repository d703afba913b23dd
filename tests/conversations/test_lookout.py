"""What no notice told is found in the database: one query for all open conversations of a process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from conversations import endings, lookout, turns
from conversations.attempts import Outcome
from conversations.branches import choose_branch, choose_version
from conversations.conversations import Changes, change_conversation
from conversations.database import in_database
from conversations.lookout import Lookout
from conversations.models import Conversation, Generation, State, WaitingReason
from conversations.queueing import Order, Started
from conversations.removals import remove_turn
from conversations.runtime import get_runtime
from conversations.standings import Begun, Standing, begun_last, standings
from tests.conversations.branches_made import answer_again, ask
from tests.conversations.conftest import OpenSocket, Socket

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "ROUND_SECONDS", 0.05)


def queue(conversation: Conversation) -> Started:
    """A question that another process has taken, and of which nobody was told."""
    return turns.start_turn(
        user_id=conversation.owner_id,
        conversation_id=conversation.pk,
        turn_id=uuid.uuid4(),
        order=Order("Hello", "demo:0-5-0"),
    )


def end(started: Started) -> None:
    generation = endings.load(started.generation_id)
    endings.close(generation, Outcome(State.COMPLETED, text="So", seq=1, charge="nobody"), timezone.now())


def put_off(started: Started) -> None:
    Generation.objects.filter(pk=started.generation_id).update(
        state=State.WAITING,
        waiting_reason=WaitingReason.RATE_LIMIT,
        run_after=timezone.now() + timedelta(minutes=5),
        epoch=1,
        attempts=1,
    )


# --- The queries -------------------------------------------------------------------------


@pytest.fixture
def three(alice: User) -> list[Conversation]:
    return [Conversation.objects.create(owner=alice) for _ in range(3)]


def test_it_reads_where_all_of_them_stand_in_one_query(
    three: list[Conversation], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    empty, over, live = three
    turn = ask(over, "One", "1")
    started = queue(live)
    gone = uuid.uuid4()
    with django_assert_num_queries(1):
        found = standings([empty.pk, over.pk, live.pk, gone])
    for one in three:
        one.refresh_from_db()
    assert found == {
        empty.pk: Standing(empty.updated_at, None, None, 0),
        over.pk: Standing(over.updated_at, turn.turn_id, None, 0),
        live.pk: Standing(live.updated_at, started.turn_id, started.generation_id, 0),
    }


def test_every_question_and_every_end_makes_another_standing(three: list[Conversation]) -> None:
    chat = three[0]
    stood = []

    def note() -> None:
        stood.append(standings([chat.pk])[chat.pk])

    note()
    for _ in range(2):
        started = queue(chat)
        note()
        end(started)
        note()
    first = Generation.objects.earliest("created_at")
    again = turns.start_version(
        user_id=chat.owner_id,
        conversation_id=chat.pk,
        turn_id=first.turn.turn_id,
        generation_id=uuid.uuid4(),
        version="regenerate",
        order=Order(),
    )
    note()
    end(again)
    note()
    edited = turns.edit_turn(
        user_id=chat.owner_id,
        conversation_id=chat.pk,
        turn_id=first.turn.turn_id,
        new_turn_id=uuid.uuid4(),
        order=Order("Other words"),
    )
    note()
    end(edited)
    note()
    choose_branch(user_id=chat.owner_id, conversation_id=chat.pk, turn_id=first.turn.turn_id)
    note()
    # A start and an end between two looks.
    started = queue(chat)
    end(started)
    note()
    assert len(set(stood)) == len(stood)


def test_a_change_in_the_middle_makes_another_standing(three: list[Conversation]) -> None:
    chat = three[0]
    first = ask(chat, "One", "1")
    middle = ask(chat, "Two", "2")
    ask(chat, "Three", "3")
    answer_again(first, "1 again")
    assert first.chosen
    before = standings([chat.pk])[chat.pk]
    choose_version(user_id=chat.owner_id, conversation_id=chat.pk, generation_id=first.chosen.pk)
    chosen = standings([chat.pk])[chat.pk]
    remove_turn(user_id=chat.owner_id, conversation_id=chat.pk, turn_id=middle.turn_id)
    removed = standings([chat.pk])[chat.pk]
    assert [one.revision for one in (before, chosen, removed)] == [0, 1, 2]
    assert replace(removed, revision=0) == before


@pytest.mark.parametrize(
    "changes",
    [Changes(title="Rivers"), Changes(pinned=True), Changes(archived=True)],
    ids=["title", "pinned", "archived"],
)
def test_another_place_in_the_list_makes_another_standing(
    conversation: Conversation, changes: Changes
) -> None:
    ask(conversation, "One", "1")
    change = partial(change_conversation, user_id=conversation.owner_id, conversation_id=conversation.pk)
    for made in (changes, changes, Changes(model="demo:0-5-0")):
        change(changes=made)
        assert standings([conversation.pk])[conversation.pk].revision == 1


def test_it_finds_the_answer_that_was_begun_last_wherever_it_is(
    three: list[Conversation], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    _, plain, middle = three
    ask(plain, "One", "1")
    last = ask(plain, "Two", "2")
    first = ask(middle, "One", "1")
    ask(middle, "Two", "2")
    again = answer_again(first, "1 again")
    assert last.chosen
    with django_assert_num_queries(1):
        found = begun_last([one.pk for one in three])
    assert found == {
        plain.pk: Begun(last.chosen.pk, last.turn_id, "completed"),
        middle.pk: Begun(again.pk, first.turn_id, "completed"),
    }


# --- Sockets -----------------------------------------------------------------------------


async def head(socket: Socket, **expected: object) -> dict[str, Any]:
    """The first news of this kind that says so."""
    while True:
        event = await socket.until_change("head")
        if expected.items() <= event.items():
            return event


async def test_a_socket_that_heard_nothing_is_told_of_the_question_and_of_its_end(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, often: None
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    assert await head(socket) == {
        "type": "conversation.updated",
        "conversation_id": str(conversation.pk),
        "change": "head",
        "head_turn_id": None,
        "turn_id": None,
        "generation_id": None,
        "state": None,
        "revision": 0,
    }
    started = await in_database(queue, conversation)
    told = {
        "head_turn_id": str(started.turn_id),
        "turn_id": str(started.turn_id),
        "generation_id": str(started.generation_id),
    }
    await head(socket, **told, state="queued")
    await in_database(end, started)
    await head(socket, **told, state="completed")
    await socket.send("stream.resume", generation_id=started.generation_id, after_seq=0)
    assert (await socket.until_end())["text"] == "So"


async def test_a_socket_that_heard_it_all_is_told_nothing_more(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    first = await open_socket(conversation.pk, alice_key)
    second = await open_socket(conversation.pk, alice_key)
    await get_runtime().lookout.look()
    for socket in (first, second):
        await head(socket)
    await first.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-300-2")
    for socket in (first, second):
        await socket.until("delta")
    await get_runtime().lookout.look()
    for socket in (first, second):
        await socket.until_end()
    await get_runtime().lookout.look()
    for socket in (first, second):
        socket.events.clear()
        await socket.send("ping")
        await socket.until("pong")
        assert [event for event in socket.events if event.get("change") == "head"] == []


async def test_a_socket_is_told_once_of_a_change_in_the_middle(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    first = await in_database(ask, conversation, "One", "1")
    middle = await in_database(ask, conversation, "Two", "2")
    await in_database(ask, conversation, "Three", "3")
    socket = await open_socket(conversation.pk, alice_key)
    look = get_runtime().lookout.look
    await look()
    await head(socket, revision=0)
    # Though it hears of the answer that is being written.
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-10-0")
    await socket.until_end()
    await look()
    socket.events.clear()
    assert first.chosen_id
    choose = partial(choose_version, user_id=conversation.owner_id, conversation_id=conversation.pk)
    remove = partial(remove_turn, user_id=conversation.owner_id, conversation_id=conversation.pk)
    await in_database(choose, generation_id=first.chosen_id)
    await look()
    await head(socket, revision=1)
    await in_database(remove, turn_id=middle.turn_id)
    await look()
    await head(socket, revision=2)
    socket.events.clear()
    await look()
    await socket.send("ping")
    await socket.until("pong")
    assert [event for event in socket.events if event.get("change") == "head"] == []


async def test_it_resumes_a_wait_of_which_it_heard_nothing(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, often: None
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    started = await in_database(queue, conversation)
    await in_database(put_off, started)
    await head(socket, state="waiting")
    await socket.send("stream.resume", generation_id=started.generation_id, after_seq=0)
    waiting = await socket.until("generation.waiting")
    assert (waiting["generation_id"], waiting["reason"]) == (str(started.generation_id), "rate_limit")


async def test_a_socket_is_told_that_its_conversation_is_gone(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, often: None
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await head(socket)
    await in_database(conversation.delete)
    await socket.until_change("deleted")
    assert not get_runtime().lookout._sockets


# --- Rounds ------------------------------------------------------------------------------


class Seat:
    def __init__(self) -> None:
        self.told: list[tuple[Standing | None, Begun | None]] = []

    def on_standing(self, standing: Standing | None, begun: Begun | None) -> None:
        self.told.append((standing, begun))


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the queries as they are made."""
    made: list[str] = []

    async def counted(query: Callable[..., Any], ids: Collection[uuid.UUID]) -> Any:
        made.append(query.__name__)
        return await in_database(query, ids)

    monkeypatch.setattr(lookout, "in_database", counted)
    return made


async def test_a_round_is_one_query_for_all_sockets_and_none_for_nobody(
    alice: User, jobs: list[str], open_socket: OpenSocket
) -> None:
    made = await in_database(lambda: [Conversation.objects.create(owner=alice) for _ in range(5)])
    seats = [(chat.pk, Seat()) for chat in made for _ in range(4)]
    one = Lookout()
    await one.look()
    assert jobs == []
    for pk, seat in seats:
        one.watch(pk, seat)
    await one.look()
    assert jobs == ["standings", "begun_last"]
    assert [len(seat.told) for _, seat in seats] == [1] * 20
    jobs.clear()
    await one.look()
    assert jobs == ["standings"]
    assert [len(seat.told) for _, seat in seats] == [1] * 20
    await in_database(queue, made[2])
    await one.look()
    assert jobs == ["standings", "standings", "begun_last"]
    assert [len(seat.told) for _, seat in seats] == [1] * 8 + [2] * 4 + [1] * 8
    for pk, seat in seats:
        one.forget(pk, seat)
    jobs.clear()
    await one.look()
    assert jobs == []


async def test_a_round_that_fails_is_made_up_for(
    conversation: Conversation, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat, one = Seat(), Lookout()
    one.watch(conversation.pk, seat)

    async def fail(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(lookout, "in_database", fail)
        with pytest.raises(ConnectionError):
            await one.look()
    assert seat.told == []
    await one.look()
    assert len(seat.told) == 1
