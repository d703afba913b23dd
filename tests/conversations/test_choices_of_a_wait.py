"""What a person can decide about an answer that waits: when, with which model, or not at all."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from billing.budgets import set_budget
from billing.models import Hold
from conversations.database import in_database
from conversations.models import Conversation, Generation, State, WaitingReason
from conversations.sweeper import sweep_once
from tests.conversations.conftest import OpenSocket
from tests.conversations.failing import GOOD, ask

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_patience", "books_balance"),
]


async def test_it_lets_the_person_choose_where_the_hint_exceeds_the_patience(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-5-0!429x1@300")
    waiting = await socket.until("generation.waiting")
    assert (waiting["reason"], waiting["detail"]) == (
        "choice",
        "Demo 0-5-0!429x1@300 takes no more questions for now.",
    )
    assert 290 < waiting["wait_seconds"] <= 300
    actions = [option["action"] for option in waiting["options"]]
    assert actions == ["switch", "switch", "schedule", "stop"]
    assert all(option["cost_usd"] for option in waiting["options"][:2])
    assert waiting["options"][2]["run_at"] == waiting["retry_at"]
    # Undecided, nothing is held and nobody may send it.
    assert await in_database(Hold.objects.alive().count) == 0
    await socket.send("turn.stop", turn_id=turn_id)
    assert (await socket.until_end())["type"] == "generation.stopped"


async def test_it_closes_what_the_person_did_not_decide(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.RETRY_PATIENCE_SECONDS = 0  # the day may be about to end
    socket = await open_socket(conversation.pk, alice_key)
    await ask(socket, "demo:0-5-0!daily")
    waiting = await socket.until("generation.waiting")
    assert waiting["detail"] == "Demo 0-5-0!daily has reached its daily limit."
    assert 0 < waiting["wait_seconds"] <= 86_400
    past = timezone.now() - timedelta(seconds=1)
    await in_database(Generation.objects.filter(pk=waiting["generation_id"]).update, run_after=past)
    assert (await in_database(sweep_once)).closed == 1
    end = await socket.until_end()
    assert (end["type"], end["error"]["code"]) == ("generation.failed", "daily_quota")


async def test_it_waits_by_itself_for_the_end_of_a_day_that_is_about_to_end(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conversations.verdicts.provider_day", lambda profile, now: ("today", 20.0))
    socket = await open_socket(conversation.pk, alice_key)
    asked_at = timezone.now()
    turn_id = await ask(socket, "demo:0-5-0!daily")
    waiting = await socket.until("generation.waiting", "generation.failed")
    assert (waiting["type"], waiting["reason"]) == ("generation.waiting", "rate_limit")
    assert datetime.fromisoformat(waiting["retry_at"]) >= asked_at + timedelta(seconds=20)
    assert waiting["wait_seconds"] <= 22
    await socket.send("turn.stop", turn_id=turn_id)
    assert (await socket.until_end())["type"] == "generation.stopped"


async def test_it_sends_at_the_time_that_the_person_chose(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-5-0!429x1@300")
    waiting = await socket.until("generation.waiting")
    for _ in range(2):  # twice is no error
        await socket.send("turn.schedule", turn_id=turn_id)
        scheduled = await socket.until("generation.waiting")
        assert (scheduled["reason"], scheduled["retry_at"]) == ("scheduled", waiting["retry_at"])
        assert [option["action"] for option in scheduled["options"]] == ["switch", "switch", "stop"]
    generation = await in_database(Generation.objects.get, pk=waiting["generation_id"])
    assert (generation.waiting_reason, generation.hold_id) == (WaitingReason.SCHEDULED, None)
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()


async def test_it_switches_a_waiting_answer_to_another_model(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.MAX_RETRIES = 5
    socket, other = (
        await open_socket(conversation.pk, alice_key),
        await open_socket(conversation.pk, alice_key),
    )
    turn_id = await ask(socket, "demo:0-9-0!429@50")
    waiting = await socket.until("generation.waiting")
    assert waiting["reason"] == "rate_limit"
    await other.send("turn.switch", turn_id=turn_id, model=GOOD)
    for watcher in (socket, other):
        end = await watcher.until_end()
        assert (end["type"], end["receipt"]["model"]) == ("generation.completed", GOOD)
        assert end["generation_id"] == waiting["generation_id"]
        assert end["notes"][0]["detail"] == "Demo 0-5-0 instead of Demo 0-9-0!429@50, as you chose."
    states = await in_database(lambda: sorted(Hold.objects.values_list("state", flat=True)))
    assert states == ["released", "released", "settled"]


async def test_it_refuses_a_switch_that_cannot_be_and_waits_on(
    conversation: Conversation, alice: User, alice_key: str, open_socket: OpenSocket, settings: Settings
) -> None:
    settings.MAX_RETRIES = 5
    await in_database(
        set_budget,
        scope="user",
        scope_id=alice.pk,
        unit="tokens",
        limit_units=10,
        period="day",
        model="demo:0-6-0",
    )
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = await ask(socket, "demo:0-9-0!429@50")
    waiting = await socket.until("generation.waiting")
    held = await in_database(lambda: list(Hold.objects.alive().values_list("pk")))
    for model, code in (
        ("demo:0-6-0", "budget_exceeded"),
        ("demo:nothing", "unknown_model"),
        ("", "bad_frame"),
    ):
        await socket.send("turn.switch", turn_id=turn_id, model=model)
        refused = await socket.until("turn.refused", "error")
        assert refused["code"] == code
    assert await in_database(lambda: list(Hold.objects.alive().values_list("pk"))) == held
    generation = await in_database(Generation.objects.get, pk=waiting["generation_id"])
    assert (generation.state, generation.model) == (State.WAITING, "demo:0-9-0!429@50")
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()
    await socket.send("turn.switch", turn_id=turn_id, model=GOOD)
    assert (await socket.until("turn.refused"))["code"] == "not_found"
