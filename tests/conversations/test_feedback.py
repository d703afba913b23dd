from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from conversations.exceptions import Conflict, Invalid, NotFound
from conversations.feedback import give_feedback, withdraw_feedback
from conversations.models import Conversation, Feedback, Generation, State, Turn

pytestmark = pytest.mark.django_db


@pytest.fixture
def answer(alice: User) -> Generation:
    chat = Conversation.objects.create(owner=alice)
    turn = Turn.objects.create(conversation=chat, turn_id=chat.pk, text="Why?")
    made = Generation.objects.create(
        conversation=chat, turn=turn, model="demo:friendly", wanted_output_tokens=9, state=State.COMPLETED
    )
    turn.chosen = made
    turn.save()
    chat.head_turn = turn
    chat.save()
    return made


def where(answer: Generation, user: User) -> dict[str, Any]:
    return {"user_id": user.pk, "conversation_id": answer.conversation_id, "generation_id": answer.pk}


def test_it_keeps_one_word_for_each_answer_the_last(answer: Generation, alice: User) -> None:
    give_feedback(**where(answer, alice), verdict="up")
    give_feedback(**where(answer, alice), verdict="down", words="  Too long. ")
    kept = Feedback.objects.get()
    assert (kept.verdict, kept.words, kept.model) == ("down", "Too long.", "demo:friendly")
    withdraw_feedback(**where(answer, alice))
    assert not Feedback.objects.exists()


def test_it_is_for_one_s_own_finished_answers(answer: Generation, alice: User, bob: User) -> None:
    with pytest.raises(NotFound):
        give_feedback(**where(answer, bob), verdict="up")
    with pytest.raises(NotFound):
        withdraw_feedback(**where(answer, bob))
    with pytest.raises(Invalid):
        give_feedback(**where(answer, alice), verdict="great")
    with pytest.raises(Invalid):
        give_feedback(**where(answer, alice), verdict="up", words="x" * 1001)
    Generation.objects.update(state=State.STREAMING)
    with pytest.raises(Conflict):
        give_feedback(**where(answer, alice), verdict="up")
    assert not Feedback.objects.exists()


def test_it_goes_with_its_conversation(answer: Generation, alice: User) -> None:
    give_feedback(**where(answer, alice), verdict="up")
    answer.conversation.delete()
    assert not Feedback.objects.exists()


def test_it_counts_by_model(answer: Generation, alice: User) -> None:
    give_feedback(**where(answer, alice), verdict="down", words="Wrong.")
    [row] = Feedback.objects.counts_by_model()
    assert (row["model"], row["good"], row["bad"], row["with_words"]) == ("demo:friendly", 0, 1, 1)


def test_the_page_judges_and_shows_it(answer: Generation, alice: User, bob: User, client: Client) -> None:
    page = f"/c/{answer.conversation_id}/"
    door = f"{page}answers/{answer.pk}/feedback/"
    client.force_login(alice)
    assert client.post(door, {"verdict": "down", "words": "No."}).json() == {"verdict": "down"}
    assert b'data-action="bad" data-field="bad" title="Bad answer" aria-pressed="true"' in (
        client.get(page).content
    )
    told = client.get(f"{page}turns/{answer.turn.turn_id}/").json()
    assert told["turn"]["generation"]["verdict"] == "down"
    assert client.post(door, {"verdict": "x"}).status_code == 422
    assert client.post(door, {"verdict": ""}).json() == {"verdict": ""}
    assert not Feedback.objects.exists()
    client.force_login(bob)
    assert client.post(door, {"verdict": "up"}).status_code == 404
