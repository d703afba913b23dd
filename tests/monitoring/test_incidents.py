"""Incidents: told once, whoever saw it, and told when it is over."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import Settings

from conversations.models import Pulse
from monitoring import delivery
from monitoring.channels import Message
from monitoring.findings import Breach, lasting
from monitoring.incidents import reconcile, watch
from monitoring.models import Incident, Notice
from monitoring.watchdog import look
from tests.monitoring.conftest import MakeCalls

pytestmark = pytest.mark.django_db

WRONG = lasting("rule", [Breach("rule", "it", "It is wrong")])
RIGHT = lasting("rule", [])


def test_it_is_told_once_however_often_it_is_seen(now: datetime) -> None:
    for minute in range(5):
        reconcile([WRONG], now=now + timedelta(minutes=minute))
    incident = Incident.objects.get()
    assert (incident.opened_at, incident.seen_at) == (now, now + timedelta(minutes=4))
    assert [(notice.kind, notice.channel) for notice in Notice.objects.all()] == [("opened", "log")]


def test_its_end_is_told_once_after_it_has_lasted(now: datetime, settings: Settings) -> None:
    settings.ALERT_RECOVERY_SECONDS = 60
    reconcile([WRONG], now=now)
    assert reconcile([RIGHT], now=now + timedelta(seconds=59)) == []
    [closed] = reconcile([RIGHT], now=now + timedelta(seconds=60))
    assert closed.closed_at == now + timedelta(seconds=60)
    assert reconcile([RIGHT], now=now + timedelta(seconds=90)) == []
    assert [notice.kind for notice in Notice.objects.order_by("pk")] == ["opened", "recovered"]


def test_what_comes_back_is_a_new_incident(now: datetime) -> None:
    reconcile([WRONG], now=now)
    reconcile([RIGHT], now=now + timedelta(seconds=1))
    reconcile([WRONG], now=now + timedelta(seconds=2))
    assert Incident.objects.count() == 2
    assert Incident.objects.filter(closed_at=None).count() == 1


@pytest.mark.django_db(transaction=True)
def test_several_processes_open_one_incident_and_send_each_notice_once(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    others = threading.Semaphore(0)

    def send(channel: str, message: Message) -> None:
        """Takes as long as the others need to find that it is not theirs to send."""
        sent.append(message.id)
        for _ in range(3):
            others.acquire(timeout=3)

    monkeypatch.setattr(delivery, "send", send)
    now = datetime.fromisoformat("2026-03-04T12:00:00+00:00")
    barrier = threading.Barrier(4)

    def one() -> None:
        try:
            barrier.wait(10)
            reconcile([WRONG], now=now)
            barrier.wait(10)
            if not delivery.deliver_pending(now=now + timedelta(seconds=1)):
                others.release()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    incident = Incident.objects.get()
    assert sent == [f"{incident.pk}:opened"]


def test_one_bad_key_is_told_at_once_and_over_with_the_next_good_call(
    calls: MakeCalls, now: datetime
) -> None:
    calls(1, code="bad_credentials", at=now - timedelta(minutes=2))
    watch(now=now)
    incident = Incident.objects.get()
    assert (incident.rule, incident.subject) == ("bad_credentials", "openai")
    assert watch(now=now + timedelta(seconds=30)) == []  # the same call is no news
    calls(1, model="other:one", at=now + timedelta(seconds=40))
    assert watch(now=now + timedelta(seconds=41)) == []  # another provider's good call says nothing
    calls(1, at=now + timedelta(seconds=50))
    assert [one.pk for one in watch(now=now + timedelta(seconds=51))] == [incident.pk]
    assert watch(now=now + timedelta(seconds=52)) == []  # nor is the old call a new incident


def test_what_nobody_can_judge_any_more_is_forgotten_after_a_day(calls: MakeCalls, now: datetime) -> None:
    calls(1, code="model_gone")
    watch(now=now)
    later = now + timedelta(hours=23)
    Pulse.objects.update(beaten_at=later + timedelta(hours=1))
    assert watch(now=later) == []
    [forgotten] = watch(now=later + timedelta(hours=1))
    assert forgotten.rule == "model_gone"


@pytest.mark.django_db(transaction=True)
def test_a_web_process_tells_that_the_worker_is_gone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.utils import timezone

    from monitoring import site_rules

    now = timezone.now()
    monkeypatch.setattr(site_rules, "STARTED_AT", now - timedelta(hours=1))
    Pulse.beat("sweeper")
    Pulse.objects.create(name="worker", beaten_at=now - timedelta(minutes=2))
    look()
    incident = Incident.objects.get()
    assert (incident.rule, incident.subject) == ("silence", "worker")
    assert Notice.objects.get().notified_at is not None
    Pulse.beat("worker")
    look()
    assert Notice.objects.filter(notified_at=None).count() == 0
    assert Notice.objects.count() == 2


def test_the_command_lists_what_is_open(
    calls: MakeCalls, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("alerts")
    calls(1, code="out_of_credit")
    call_command("alerts", "--watch")
    told = capsys.readouterr().out
    assert "No incident is open." in told
    assert "out_of_credit: The credit at openai is used up" in told
    assert Notice.objects.get().notified_at is not None
