"""Delivery: every channel, at least once, with pauses, and never into a private network unasked."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from pytest_django import Settings

from monitoring.channels import DeliveryFailed, Message, send, webhook_problem
from monitoring.checks import check_webhook
from monitoring.delivery import PAUSES_SECONDS, deliver_pending
from monitoring.findings import Breach, lasting
from monitoring.incidents import reconcile
from monitoring.models import Notice
from monitoring.watchdog import look
from monitoring.webhooks import PublicResolver

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
WRONG = lasting("rule", [Breach("rule", "it", "It is wrong", {"calls": 3})])
RIGHT = lasting("rule", [])
MESSAGE = Message(id="1:opened", event="opened", title="It is wrong", rule="rule", subject="it")


class Receiver:
    """An operator's webhook: answers with ``status`` and keeps what it got."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, Any], str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((json.loads(body), self.headers["Idempotency-Key"]))
                self.send_response(receiver.status)
                self.send_header("Location", receiver.url)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    receiver = Receiver()
    settings.ALERT_WEBHOOK_URL = receiver.url
    settings.ALERT_WEBHOOK_HOSTS = ["127.0.0.1"]
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_an_incident_and_its_end_go_through_every_channel(
    now: datetime, receiver: Receiver, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ALERT_EMAILS, settings.EMAIL_URL = ["ops@example.org"], "set"
    caplog.set_level(logging.INFO, "monitoring.alerts")
    reconcile([WRONG], now=now)
    assert deliver_pending(now=now) == 3
    reconcile([RIGHT], now=now + timedelta(seconds=1))
    assert deliver_pending(now=now + timedelta(seconds=1)) == 3
    assert deliver_pending(now=now + timedelta(hours=1)) == 0
    assert [letter.subject for letter in mail.outbox] == [
        "[Chatsite] It is wrong",
        "[Chatsite] Recovered: It is wrong",
    ]
    assert mail.outbox[0].to == ["ops@example.org"]
    assert "calls: 3" in mail.outbox[0].body
    (opened, key), (recovered, _) = receiver.got
    assert (opened["event"], opened["text"], opened["closed_at"]) == ("opened", "It is wrong", None)
    assert (recovered["event"], recovered["text"]) == ("recovered", "Recovered: It is wrong")
    assert opened["detail"] == {"calls": 3}
    assert key == opened["id"]
    assert [record.message for record in caplog.records if record.name == "monitoring.alerts"] == [
        "alert opened: It is wrong",
        "alert recovered: It is wrong",
    ]


def test_a_failing_channel_is_tried_again_later_and_does_not_hold_up_the_others(
    now: datetime, receiver: Receiver
) -> None:
    receiver.status = 500
    reconcile([WRONG], now=now)
    assert deliver_pending(now=now) == 1  # the log
    assert deliver_pending(now=now + timedelta(seconds=PAUSES_SECONDS[0] - 1)) == 0
    assert len(receiver.got) == 1
    notice = Notice.objects.get(channel="webhook")
    assert (notice.tries, notice.last_error) == (1, "the webhook answered 500")
    receiver.status = 200
    assert deliver_pending(now=now + timedelta(seconds=PAUSES_SECONDS[0])) == 1
    assert [body["id"] for body, _ in receiver.got] == [f"{notice.incident_id}:opened"] * 2


def test_the_end_waits_for_the_beginning(now: datetime, receiver: Receiver) -> None:
    receiver.status = 503
    reconcile([WRONG], now=now)
    reconcile([RIGHT], now=now)
    deliver_pending(now=now)
    assert [body["event"] for body, _ in receiver.got] == ["opened"]
    receiver.status = 200
    for second in (60, 61):
        deliver_pending(now=now + timedelta(seconds=second))
    assert [body["event"] for body, _ in receiver.got] == ["opened", "opened", "recovered"]


def test_it_is_given_up_in_the_end(now: datetime, receiver: Receiver) -> None:
    receiver.status = 404
    reconcile([WRONG], now=now)
    for _ in range(20):
        now += timedelta(hours=1)
        deliver_pending(now=now)
    assert len(receiver.got) == len(PAUSES_SECONDS) + 1
    assert Notice.objects.get(channel="webhook").notified_at is None


def test_a_process_that_died_while_sending_is_stood_in_for(now: datetime, receiver: Receiver) -> None:
    reconcile([WRONG], now=now)
    Notice.objects.update(claimed_until=now + timedelta(seconds=60), tries=1)
    assert deliver_pending(now=now + timedelta(seconds=59)) == 0
    assert deliver_pending(now=now + timedelta(seconds=60)) == 2


def test_it_follows_no_redirect(receiver: Receiver) -> None:
    receiver.status = 302
    with pytest.raises(DeliveryFailed, match="answered 302"):
        send("webhook", MESSAGE)
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://169.254.169.254/latest",
        "https://localhost/x",
        "https://user:password@hooks.example.org/",
        "ftp://hooks.example.org/",
    ],
)
def test_it_calls_no_private_address(url: str, settings: Settings) -> None:
    settings.ALERT_WEBHOOK_URL = url
    assert webhook_problem(url)
    with pytest.raises(DeliveryFailed):
        send("webhook", MESSAGE)
    assert [warning.id for warning in check_webhook()] == ["monitoring.W001"]


@pytest.mark.parametrize("host", ["localhost", "2130706433", "127.1"])
async def test_a_name_that_leads_to_a_private_address_is_refused_when_it_is_resolved(host: str) -> None:
    resolver = PublicResolver()
    with pytest.raises(OSError, match="private address"):
        await resolver.resolve(host, 443)
    await resolver.close()


def test_addresses_without_a_mail_server_are_pointed_out(settings: Settings) -> None:
    settings.ALERT_EMAILS = ["ops@example.org"]
    assert [warning.id for warning in check_webhook()] == ["monitoring.W002"]


def test_the_test_message_says_which_channel_works(
    receiver: Receiver, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("alerts", "--send-test")
    assert capsys.readouterr().out.split() == ["log:", "sent", "webhook:", "sent"]
    receiver.status = 500
    with pytest.raises(CommandError):
        call_command("alerts", "--send-test")
    assert "webhook: FAILED, the webhook answered 500" in capsys.readouterr().out


def test_the_mail_server_comes_from_the_environment() -> None:
    program = (
        "from django.conf import settings as s; "
        "print(s.EMAIL_HOST, s.EMAIL_PORT, s.EMAIL_USE_TLS, s.EMAIL_HOST_USER, s.DEFAULT_FROM_EMAIL)"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "chatsite.settings",
        "EMAIL_URL": "smtp+tls://ops:word@mail.example.org:587",
        "PUBLIC_URL": "https://chat.example.org",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["mail.example.org", "587", "True", "ops", "chatsite@chat.example.org"]


@pytest.mark.django_db(transaction=True)
def test_a_web_process_delivers_what_a_worker_died_over(now: datetime, receiver: Receiver) -> None:
    reconcile([WRONG], now=now)
    dead_workers = Notice.objects.filter(channel="webhook")
    dead_workers.update(claimed_until=now + timedelta(seconds=60), tries=1)
    look()
    assert receiver.got == []
    dead_workers.update(claimed_until=now - timedelta(seconds=1))
    look()
    assert [message["event"] for message, _ in receiver.got] == ["opened"]


def test_a_channel_that_is_set_up_wrongly_keeps_no_other_from_telling(
    now: datetime, receiver: Receiver, settings: Settings
) -> None:
    settings.ALERT_EMAILS, settings.EMAIL_URL = ["ops@example.org\nBcc: all@example.org"], "set"
    reconcile([WRONG], now=now)
    assert deliver_pending(now=now) == 2
    assert [message["event"] for message, _ in receiver.got] == ["opened"]
    assert Notice.objects.get(channel="email").last_error
