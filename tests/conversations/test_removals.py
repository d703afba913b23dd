from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User
from django.test import Client

from conversations.continuing import problem_of
from conversations.exceptions import Conflict, NotFound
from conversations.models import Conversation, Generation, State, Summary, Turn
from conversations.queueing import Order
from conversations.removals import remove_turn
from conversations.turns import start_turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def chat(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice)


def turn(chat: Conversation, text: str, parent: Turn | None = None) -> Turn:
    depth = 0 if parent is None else parent.depth + 1
    made = Turn.objects.create(conversation=chat, turn_id=uuid.uuid4(), text=text, parent=parent, depth=depth)
    made.chosen = Generation.objects.create(
        conversation=chat, turn=made, model="demo:friendly", wanted_output_tokens=9, state=State.COMPLETED,
        text=f"On {text}",
    )  # fmt: skip
    made.save()
    chat.head_turn = made
    chat.save()
    return made


def shown(chat: Conversation) -> list[tuple[str, int]]:
    fresh = Conversation.objects.select_related("head_turn").get(pk=chat.pk)
    return [(one.text, one.depth) for one in fresh.path()]


def remove(chat: Conversation, gone: Turn) -> object:
    return remove_turn(user_id=chat.owner_id, conversation_id=chat.pk, turn_id=gone.turn_id)


def test_what_followed_moves_up(chat: Conversation) -> None:
    one = turn(chat, "one")
    two = turn(chat, "two", one)
    three = turn(chat, "three", two)
    remove(chat, two)
    assert shown(chat) == [("one", 0), ("three", 1)]
    assert not Generation.objects.filter(text="On two").exists()
    remove(chat, one)
    assert shown(chat) == [("three", 0)]
    remove(chat, three)
    assert shown(chat) == []


def test_the_next_question_follows_the_one_before(chat: Conversation) -> None:
    one = turn(chat, "one")
    remove(chat, turn(chat, "two", one))
    started = start_turn(
        user_id=chat.owner_id, conversation_id=chat.pk, turn_id=uuid.uuid4(),
        order=Order("three", model="demo:10-8-2", confirmed=True),
    )  # fmt: skip
    assert shown(chat) == [("one", 0), ("three", 1)]
    assert Turn.objects.get(turn_id=started.turn_id).parent == one


def test_a_wording_takes_its_branch_along(chat: Conversation) -> None:
    one = turn(chat, "one")
    turn(chat, "old follow-up", turn(chat, "old", one))
    new = turn(chat, "new", one)
    turn(chat, "new follow-up", new)
    removed = remove_turn(user_id=chat.owner_id, conversation_id=chat.pk, turn_id=new.turn_id)
    assert shown(chat) == [("one", 0), ("old", 1), ("old follow-up", 2)]
    assert len(removed.turn_ids) == 2
    assert removed.head_turn_id == Turn.objects.get(text="old follow-up").turn_id


def test_a_summary_that_tells_of_it_goes_too(chat: Conversation) -> None:
    one = turn(chat, "one")
    turn(chat, "two", one)
    Summary.objects.create(
        conversation=chat, from_depth=0, until_depth=0, digest="x", before_tokens=9, model="demo:friendly",
        state="completed", text="They asked about one.",
    )  # fmt: skip
    remove(chat, one)
    assert not Summary.objects.exists()


def test_it_refuses_what_is_not_there_or_being_written(chat: Conversation, bob: User, client: Client) -> None:
    one = turn(chat, "one")
    with pytest.raises(NotFound):
        remove_turn(user_id=bob.pk, conversation_id=chat.pk, turn_id=one.turn_id)
    with pytest.raises(NotFound):
        remove_turn(user_id=chat.owner_id, conversation_id=chat.pk, turn_id=uuid.uuid4())
    Generation.objects.update(state=State.STREAMING)
    with pytest.raises(Conflict):
        remove(chat, one)
    client.force_login(chat.owner)
    door = f"/c/{chat.pk}/turns/{one.turn_id}/delete/"
    assert client.post(door).status_code == 409
    Generation.objects.update(state=State.COMPLETED)
    assert client.post(door).json() == {"turn_ids": [str(one.turn_id)], "head_turn_id": None}
    assert client.post(door).status_code == 404


def test_the_page_of_a_link_goes_back_as_far_as_it_points(chat: Conversation, client: Client) -> None:
    turns = [turn(chat, "t0")]
    for number in range(1, 70):
        turns.append(turn(chat, f"t{number}", turns[-1]))
    client.force_login(chat.owner)
    page = f"/c/{chat.pk}/"
    first = f'id="turn-{turns[5].turn_id}"'.encode()
    assert first not in client.get(page).content
    assert first in client.get(f"{page}?turn={turns[5].turn_id}").content
    assert client.get(f"{page}?turn={uuid.uuid4()}").status_code == 200
    assert client.get(f"{page}?turn=x").status_code == 200


def test_it_tells_what_another_version_would_take(chat: Conversation, bob: User, client: Client) -> None:
    first = turn(chat, "one")
    second = turn(chat, "two", first)
    client.force_login(chat.owner)
    door = f"/c/{chat.pk}/turns/{{}}/price/?model=demo:friendly"
    found = client.get(door.format(second.turn_id)).json()
    assert found["cost_usd"] is not None
    assert found["max_output_tokens"] == 4096
    # What stands before it goes with it, its old answer does not.
    assert found["input_tokens"] > client.get(door.format(first.turn_id)).json()["input_tokens"]
    client.force_login(bob)
    assert client.get(door.format(second.turn_id)).status_code == 404


def test_a_failed_answer_says_what_a_retry_costs(chat: Conversation) -> None:
    one = turn(chat, "one")
    Generation.objects.update(
        state=State.FAILED, error_code="provider_error", input_estimate_tokens=100, text=""
    )
    problem = problem_of(Generation.objects.get(turn=one))
    assert problem is not None
    retry, other = problem["options"]
    assert retry["action"] == "retry"
    assert retry["cost_usd"] > "0"
    assert "cost_usd" not in other


def test_it_prints_everything_with_costs_or_without(chat: Conversation, client: Client) -> None:
    first = turn(chat, "one <b>")
    turn(chat, "two", first)
    Generation.objects.update(html="<p>An <em>answer</em>.</p>", state=State.STOPPED)
    client.force_login(chat.owner)
    page = client.get(f"/c/{chat.pk}/print/").content.decode()
    assert page.index("one &lt;b&gt;") < page.index("An <em>answer</em>.") < page.index("two")
    assert "Stopped." in page
    assert "not charged" in page
    assert "not charged" not in client.get(f"/c/{chat.pk}/print/?costs=0").content.decode()
    file = client.get(f"/c/{chat.pk}/export.html")
    assert file["Content-Disposition"].endswith('.html"')
    assert "An <em>answer</em>." in file.content.decode()
    assert "<link" not in file.content.decode()
