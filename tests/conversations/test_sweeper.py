"""The sweeper: what died is closed or repeated, what is due is told again, what is forgotten goes."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
import redis
from celery import current_app
from django.contrib.auth.models import User
from django.core.management import call_command
from django.utils import timezone
from kombu.exceptions import OperationalError
from pytest_django import Settings

from billing.models import Bearer, Hold, LedgerEntry
from conversations import attempts, claims, endings, fallbacks, sweeper, turns, waits
from conversations.broadcast import user_topic
from conversations.models import Conversation, Generation, Pulse, State, WaitingReason
from conversations.models.pulse import SWEEPER
from conversations.queueing import Order, Started
from conversations.stream_log import log_key
from conversations.sweeper import CLOSING_GRACE, sweep_once
from conversations.verdicts import Postpone
from llm.usage import Usage

pytestmark = pytest.mark.django_db(transaction=True)


def ask(user: User, model: str = "demo:0-5-0") -> Started:
    conversation = Conversation.objects.create(owner=user)
    order = Order("Hello", model)
    return turns.start_turn(
        user_id=user.pk, conversation_id=conversation.pk, turn_id=uuid.uuid4(), order=order
    )


def claim(started: Started, *, owner: str = "dead process") -> attempts.Claim:
    claimed = claims.claim(started.generation_id, owner=owner, prepared=started.claim)
    assert isinstance(claimed, attempts.Claim)
    return claimed


def lapse(started: Started) -> None:
    past = timezone.now() - timedelta(seconds=1)
    Generation.objects.filter(pk=started.generation_id).update(lease_expires_at=past)


def told() -> int:
    """How many messages wait for a worker."""
    with redis.Redis.from_url(current_app.conf.broker_url) as client:
        return int(client.llen("celery"))


def test_it_leaves_living_ones_alone(alice: User, redis_url: str) -> None:
    claim(ask(alice))
    swept = sweep_once()
    assert (swept.closed, swept.revived, swept.told) == (0, 0, 0)


def test_it_repeats_what_died_before_the_first_word(alice: User, redis_url: str) -> None:
    started = ask(alice)
    claim(started)
    lapse(started)
    swept = sweep_once()
    generation = Generation.objects.get(pk=started.generation_id)
    assert swept.revived == 1
    assert (generation.state, generation.waiting_reason) == (State.WAITING, WaitingReason.RECOVERY)
    assert swept.told == told() == 1
    # The lost attempt may have reached the provider: the house bears its input.
    assert LedgerEntry.objects.get().bearer == Bearer.HOUSE
    again = claims.claim(started.generation_id, owner="another process")
    assert isinstance(again, attempts.Claim)
    assert (again.epoch, again.attempt) == (2, 2)


@pytest.mark.parametrize(("retries", "repeats"), [(0, 2), (5, 5)])
def test_it_ends_a_question_that_each_process_dies_of(
    alice: User, redis_url: str, settings: Settings, retries: int, repeats: int
) -> None:
    settings.MAX_RETRIES = retries
    started = ask(alice)
    claim(started)
    for _ in range(repeats):
        lapse(started)
        assert sweep_once().revived == 1
        assert isinstance(claims.claim(started.generation_id, owner="doomed"), attempts.Claim)
    lapse(started)
    swept = sweep_once()
    assert (swept.revived, swept.closed) == (0, 1)
    generation = Generation.objects.get(pk=started.generation_id)
    assert (generation.state, generation.error_code) == (State.FAILED, "server_lost")
    assert not Hold.objects.alive().exists()
    assert {entry.bearer for entry in LedgerEntry.objects.all()} == {Bearer.HOUSE}


def test_it_closes_what_died_after_the_first_word_and_takes_the_words_from_the_log(
    alice: User, redis_url: str
) -> None:
    started = ask(alice)
    claimed = claim(started)
    claims.beat(
        [attempts.Beat(claimed.generation_id, 1, claimed.hold_id, "One", 1, 1)],
        renew=False,
    )
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(log_key(started.generation_id, 1), {"d": b'[1,["One"," two"]]'})
        client.xadd(log_key(started.generation_id, 1), {"d": b'[3,[" three"]]'})
    lapse(started)
    assert sweep_once().closed == 1
    generation = Generation.objects.get(pk=started.generation_id)
    assert (generation.state, generation.text, generation.seq) == (State.INTERRUPTED, "One two three", 3)
    assert "One two three" in generation.html
    assert LedgerEntry.objects.get().bearer == Bearer.HOUSE
    assert not Hold.objects.alive().exists()


def test_it_closes_by_the_log_alone_when_no_text_was_stored(alice: User, redis_url: str) -> None:
    started = ask(alice)
    claim(started)
    with redis.Redis.from_url(redis_url) as client:
        client.xadd(log_key(started.generation_id, 1), {"d": b'[1,["One"]]'})
    lapse(started)
    assert sweep_once().closed == 1


def test_it_leaves_the_hold_to_the_end_of_an_answer_whose_process_only_stalled(
    alice: User, redis_url: str
) -> None:
    claimed = claim(ask(alice))
    # The hold is renewed less often than the answer's own lease, so it ends first.
    Hold.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep_once().expired_holds == 0
    usage = Usage(input_tokens=9, output_tokens=2)
    assert endings.finish(claimed, attempts.Outcome(State.COMPLETED, text="forty two", seq=2, usage=usage))
    assert [(entry.bearer, entry.estimated) for entry in LedgerEntry.objects.all()] == [(Bearer.USER, False)]


def test_it_takes_a_hold_back_that_no_end_of_its_answer_has_closed(
    alice: User, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(ask(alice))
    Hold.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    Generation.objects.update(lease_expires_at=timezone.now() - CLOSING_GRACE)

    def fail(*_: object) -> None:
        raise ValueError("cannot be closed")

    monkeypatch.setattr("conversations.sweeper._close_or_revive", fail)
    assert sweep_once().expired_holds == 1


def test_it_fences_off_a_process_that_comes_back_too_late(alice: User, redis_url: str) -> None:
    started = ask(alice)
    zombie = claim(started)
    lapse(started)
    sweep_once()
    again = claims.claim(started.generation_id, owner="another process")
    assert isinstance(again, attempts.Claim)
    late = attempts.Outcome(State.COMPLETED, text="zombie", seq=1)
    assert endings.finish(zombie, late) is None
    assert claims.beat([attempts.Beat(zombie.generation_id, 1, zombie.hold_id, "z", 1, 1)], renew=True) == {}
    postponed = waits.postpone(zombie, Postpone(WaitingReason.RETRY, 1, "nobody", "provider_error"))
    assert postponed is None
    ended = endings.finish(again, attempts.Outcome(State.COMPLETED, text="real", seq=1))
    assert ended is not None
    assert Generation.objects.get(pk=started.generation_id).text == "real"


def test_it_tells_a_worker_of_what_is_due_but_not_too_often(alice: User, redis_url: str) -> None:
    started = ask(alice)
    old = timezone.now() - timedelta(minutes=1)
    Generation.objects.filter(pk=started.generation_id).update(created_at=old)
    assert sweep_once().told == 1
    assert sweep_once().told == 0
    Generation.objects.filter(pk=started.generation_id).update(notified_at=old)
    assert sweep_once().told == 1
    assert told() == 2


def test_it_gives_a_fresh_question_time_to_be_claimed(alice: User, redis_url: str) -> None:
    ask(alice)
    assert sweep_once().told == 0


def test_it_places_a_new_hold_when_the_old_one_ran_out(alice: User, redis_url: str) -> None:
    started = ask(alice)
    Hold.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert sweep_once().expired_holds == 1
    claimed = claims.claim(started.generation_id, owner="worker", prepared=started.claim)
    assert isinstance(claimed, attempts.Claim)
    assert Hold.objects.alive().count() == 1


def test_it_deletes_forgotten_conversations_but_none_that_is_written(alice: User, redis_url: str) -> None:
    now = timezone.now()
    old, older = now - timedelta(minutes=20), now - timedelta(days=2)
    kept_fresh = Conversation.objects.create(owner=alice, temporary=True)
    expired = Conversation.objects.create(owner=alice, temporary=True, updated_at=old)
    empty = Conversation.objects.create(owner=alice, updated_at=older)
    kept_empty = Conversation.objects.create(owner=alice, updated_at=old)
    started = ask(alice)
    Conversation.objects.filter(pk=started.conversation_id).update(temporary=True, updated_at=old)
    assert sweep_once().deleted == 2
    left = set(Conversation.objects.values_list("pk", flat=True))
    assert left == {kept_fresh.pk, kept_empty.pk, started.conversation_id}
    assert not {expired.pk, empty.pk} & left


def test_the_command_says_what_it_did(
    alice: User, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started = ask(alice)
    claim(started)
    lapse(started)
    call_command("sweep")
    assert "revived 1" in capsys.readouterr().out


def test_it_goes_on_without_a_broker(alice: User, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OperationalError

    monkeypatch.setattr(current_app._get_current_object(), "send_task", unreachable)
    started = ask(alice)
    Generation.objects.filter(pk=started.generation_id).update(
        created_at=timezone.now() - timedelta(minutes=1)
    )
    assert sweep_once().told == 0


def test_a_stop_is_not_lost_when_the_attempt_is_put_off(alice: User, redis_url: str) -> None:
    started = ask(alice)
    claimed = claim(started)
    Generation.objects.filter(pk=started.generation_id).update(stop_requested_at=timezone.now())
    ended = waits.postpone(claimed, Postpone(WaitingReason.RATE_LIMIT, 5, "nobody", "rate_limited"))
    assert isinstance(ended, attempts.Ended)
    assert Generation.objects.get(pk=started.generation_id).state == State.STOPPED
    assert not Hold.objects.alive().exists()
    assert not LedgerEntry.objects.exists()


def test_a_stop_is_not_lost_when_the_process_dies(alice: User, redis_url: str) -> None:
    started = ask(alice)
    claim(started)
    Generation.objects.filter(pk=started.generation_id).update(stop_requested_at=timezone.now())
    lapse(started)
    swept = sweep_once()
    assert (swept.closed, swept.revived) == (1, 0)
    assert Generation.objects.get(pk=started.generation_id).state == State.STOPPED
    assert told() == 0


def test_one_that_cannot_be_swept_keeps_no_other_from_it(
    alice: User, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ask(alice), ask(alice)
    for started in (first, second):
        claim(started)
        lapse(started)
    revive = waits.revive_lapsed

    def fail_for_the_first(generation: Generation) -> Generation | attempts.Ended | None:
        if generation.pk == first.generation_id:
            raise RuntimeError
        return revive(generation)

    monkeypatch.setattr(waits, "revive_lapsed", fail_for_the_first)
    assert sweep_once().revived == 1


def test_a_step_that_fails_keeps_no_other_from_its_work_but_the_pulse(
    alice: User, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> int:
        raise RuntimeError

    monkeypatch.setattr(fallbacks, "wake_recovered", fail)
    started = ask(alice)
    claim(started)
    lapse(started)
    swept = sweep_once()
    assert (swept.revived, swept.told) == (1, 1)
    assert not Pulse.objects.filter(name=SWEEPER).exists()
    monkeypatch.undo()
    sweep_once()
    assert Pulse.objects.filter(name=SWEEPER).exists()


@pytest.mark.parametrize("died", ["after the first word", "before it, with a stop asked for"])
def test_it_tells_the_list_of_chats_that_nothing_is_written_there_any_more(
    alice: User, redis_url: str, monkeypatch: pytest.MonkeyPatch, died: str
) -> None:
    published: list[tuple[str, dict[str, Any]]] = []

    def note(topic: str, *events: dict[str, Any]) -> None:
        published.extend((topic, event) for event in events)

    monkeypatch.setattr(sweeper, "publish_from_thread", note)
    started = ask(alice)
    claimed = claim(started)
    if died == "after the first word":
        claims.beat([attempts.Beat(claimed.generation_id, 1, claimed.hold_id, "One", 1, 1)], renew=False)
    else:
        Generation.objects.filter(pk=started.generation_id).update(stop_requested_at=timezone.now())
    lapse(started)
    sweep_once()
    over = {"change": "busy", "busy": False, "conversation_id": str(started.conversation_id)}
    told_alice = [event for topic, event in published if topic == user_topic(alice.pk)]
    assert any(over.items() <= event.items() for event in told_alice)
    assert "notice.ended" in [event["type"] for _, event in published]


def test_it_leaves_the_hold_of_a_call_alone_that_began_after_a_long_wait(alice: User, redis_url: str) -> None:
    started = ask(alice)
    past = timezone.now() - timedelta(seconds=1)
    Hold.objects.update(lease_expires_at=past)  # nobody was there to begin it
    claimed = claims.claim(started.generation_id, owner="a worker")
    assert isinstance(claimed, attempts.Claim)
    assert sweep_once().expired_holds == 0
    assert Hold.objects.get(pk=claimed.hold_id).state == "dispatched"


def test_a_claim_that_takes_long_is_not_lapsed_when_it_is_made(
    alice: User, redis_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LEASE_SECONDS = 0.5
    started = ask(alice)
    context_of = claims.context_of

    def slowly(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.6)
        return context_of(*args, **kwargs)

    monkeypatch.setattr(claims, "context_of", slowly)
    assert isinstance(claims.claim(started.generation_id, owner="a worker"), attempts.Claim)
    now = timezone.now()
    assert not Generation.objects.lapsed(now).exists()
    assert Hold.objects.get().lease_expires_at > now
