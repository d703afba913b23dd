"""A forgotten password: the links, who gets them, and what is never told."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import orjson
import pytest
import redis
from celery import current_app
from django.contrib.auth.models import User
from django.core import mail
from django.core.cache import caches
from django.test import Client
from pytest_django import Settings

from conversations import sign_in_limits
from conversations.password_links import MAILS_PER_HOUR, SEND_LINKS, link_for, send_links
from conversations.sign_in_limits import PAIR
from conversations.tasks import send_password_links

pytestmark = pytest.mark.django_db

NEW = "correct horse battery"
BASE = "http://testserver"
FORGOTTEN = "/password/forgotten/"


@pytest.fixture(autouse=True)
def _nothing_counted(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tries of earlier tests do not count, and no window ends meanwhile."""
    caches["default"].clear()
    monkeypatch.setattr(sign_in_limits, "_now", lambda: 1_800_000_000.0)
    yield
    caches["default"].clear()


@pytest.fixture
def mails(settings: Settings) -> None:
    """An operator has said how e-mail is sent."""
    settings.EMAIL_URL = "smtp://mail.example.org"


@pytest.fixture
def written(alice: User, mails: None) -> User:
    """Somebody who has given an address."""
    assert alice.email == "alice@example.org"
    return alice


def queued() -> list[str]:
    """What waits for a worker, as the broker has it; taken out."""
    found = []
    with redis.Redis.from_url(current_app.conf.broker_url) as client:
        while (raw := client.rpop("celery")) is not None:
            message = orjson.loads(raw)
            args = orjson.loads(base64.b64decode(message["body"]))[0]
            found.append(" ".join([message["headers"]["task"], *args]))
    return found


def path_of(link: str) -> str:
    return link.removeprefix(BASE)


def test_it_has_a_worker_write_and_says_the_same_of_every_address(client: Client, written: User) -> None:
    queued()
    pages = [client.post(FORGOTTEN, {"email": f"{name}@example.org"}) for name in ("alice", "nobody")]
    assert [page["Location"] for page in pages] == ["/password/forgotten/sent/"] * 2
    assert queued() == [f"{SEND_LINKS} {name}@example.org {BASE}" for name in ("alice", "nobody")]
    assert "If an account has this address" in client.get(pages[0]["Location"]).content.decode()
    assert mail.outbox == []  # the page itself writes to nobody


def test_the_link_in_the_mail_sets_a_new_password_once(client: Client, written: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(written)
    send_password_links("Alice@example.org", BASE)
    [message] = mail.outbox
    assert message.to == ["alice@example.org"]
    assert message.subject == "A new password for alice"
    [link] = re.findall(rf"{BASE}\S+", str(message.body))

    page = client.get(path_of(link), follow=True)
    assert "For alice." in page.content.decode()
    where = page.request["PATH_INFO"]
    assert "set-password" in where
    refused = client.post(where, {"new_password1": NEW, "new_password2": NEW + "x"})
    assert "The two passwords are not the same." in refused.content.decode()
    client.post(where, {"new_password1": NEW, "new_password2": NEW})

    written.refresh_from_db()
    assert written.check_password(NEW)
    assert client.get("/account/").status_code == 200  # signed in here
    assert elsewhere.get("/account/").status_code == 302  # and nowhere else
    assert "This link is over" in Client().get(path_of(link), follow=True).content.decode()


def test_a_link_ends_after_a_day(client: Client, written: User, settings: Settings) -> None:
    link = link_for(written, BASE)
    assert settings.PASSWORD_RESET_TIMEOUT == 86_400
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert "This link is over" in client.get(path_of(link), follow=True).content.decode()


def test_it_writes_to_nobody_who_may_not_sign_in(written: User) -> None:
    assert send_links("nobody@example.org", BASE) == 0
    written.is_active = False
    written.save()
    assert send_links("alice@example.org", BASE) == 0
    assert mail.outbox == []


def test_a_mailbox_gets_a_few_an_hour(written: User) -> None:
    for _ in range(MAILS_PER_HOUR + 3):
        send_links("alice@example.org", BASE)
    assert len(mail.outbox) == MAILS_PER_HOUR


def test_who_asks_again_and_again_waits_and_can_still_sign_in(client: Client, written: User) -> None:
    for _ in range(PAIR.tries):
        assert client.post(FORGOTTEN, {"email": "alice@example.org"}).status_code == 302
    page = client.post(FORGOTTEN, {"email": "alice@example.org"})
    assert (page.status_code, page["Retry-After"]) == (429, str(PAIR.seconds))
    assert "no link is sent" in page.content.decode()
    queued()
    data = {"username": "alice", "password": "alice-password"}
    assert client.post("/login/", data).status_code == 302


def test_a_site_without_mail_says_so_and_takes_nothing(client: Client, alice: User) -> None:
    page = client.get(FORGOTTEN)
    assert (page.status_code, page.content.decode().count("<form")) == (200, 0)
    assert "cannot send e-mail" in page.content.decode()
    assert client.post(FORGOTTEN, {"email": "alice@example.org"}).status_code == 403
    client.force_login(alice)
    assert 'name="email"' not in client.get("/account/").content.decode()
    assert client.post("/account/address/", {"email": "a@example.org"}).status_code == 404


def test_links_lead_to_the_public_address(client: Client, written: User, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://chat.example.org"
    client.post(FORGOTTEN, {"email": "alice@example.org"})
    assert queued() == [f"{SEND_LINKS} alice@example.org https://chat.example.org"]
    send_links("alice@example.org", "https://chat.example.org")
    assert "\nhttps://chat.example.org/password/new/" in mail.outbox[0].body


def test_one_gives_an_address_at_sign_up_or_not(client: Client, settings: Settings, mails: None) -> None:
    settings.SIGNUP_OPEN = True
    for name, address in (("dora", "dora@example.org"), ("emil", "")):
        data = {"username": name, "email": address, "password1": NEW, "password2": NEW}
        assert Client().post("/signup/", data).status_code == 302
        assert User.objects.get(username=name).email == address


@pytest.mark.parametrize(
    ("password", "kept"), [("alice-password", "new@example.org"), ("wrong", "alice@example.org")]
)
def test_an_address_changes_with_the_present_password_alone(
    client: Client, alice: User, mails: None, password: str, kept: str
) -> None:
    client.force_login(alice)
    data = {"email": "new@example.org", "present_password": password}
    page = client.post("/account/address/", data, follow=True)
    alice.refresh_from_db()
    assert alice.email == kept
    assert ("This is not your present password." in page.content.decode()) == (password == "wrong")
