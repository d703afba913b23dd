"""Access and refresh tokens: a person's sign-in for programs."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as live_settings
from django.contrib.auth.models import User
from django.core.cache import caches
from django.utils import timezone

from conversations import access_tokens
from conversations.access_tokens import bearer, issue
from conversations.database import in_database
from conversations.models import Conversation
from conversations.sign_in_limits import PAIR
from conversations.socket_auth import Credential, still_welcome
from tests.conversations.conftest import OpenSocket
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

SIGN_IN = {"username": "alice", "password": "alice-password"}


@pytest.fixture(autouse=True)
def _no_tries_yet(redis_url: str) -> None:
    """Tries of earlier tests do not count."""


async def test_it_signs_in_and_asks_with_the_token(alice: User, rest: Rest) -> None:
    pair = (await Rest().post("auth/token/", SIGN_IN)).json()
    asked = await Rest(pair["access"]).get("conversations/")
    assert asked.status_code == 200
    again = await Rest().post("auth/token/refresh/", {"refresh": pair["refresh"]})
    assert (await Rest(again.json()["access"]).get("models/")).status_code == 200


async def test_it_shows_each_person_their_own(
    alice: User, charlie: User, conversation: Conversation, rest: Rest
) -> None:
    for who, status in ((alice, 200), (charlie, 404)):
        token = (await in_database(issue, who)).access
        assert (await Rest(token).get(f"conversations/{conversation.pk}/")).status_code == status


@pytest.mark.parametrize(
    "body",
    [
        {"username": "alice", "password": "wrong"},
        {"username": "nobody", "password": "alice-password"},
        {"username": "alice", "password": " alice-password"},
    ],
)
async def test_it_says_the_same_of_a_wrong_name_and_a_wrong_password(
    alice: User, rest: Rest, body: dict[str, str]
) -> None:
    answer = await Rest().post("auth/token/", body)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")
    assert answer.json()["detail"] == "The name and the password do not go together."
    assert answer["WWW-Authenticate"] == 'Bearer realm="chatsite"'


@pytest.mark.parametrize("path", ["auth/token/", "auth/token/refresh/"])
@pytest.mark.parametrize("body", [{}, {"username": 1}, {"username": "a\x00", "password": "x"}])
async def test_it_says_what_is_missing(rest: Rest, path: str, body: dict[str, Any]) -> None:
    answer = await Rest().post(path, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_it_takes_a_refresh_token_for_nothing_else(alice: User, rest: Rest) -> None:
    tokens = await in_database(issue, alice)
    assert (await Rest(tokens.refresh).get("models/")).status_code == 401
    answer = await Rest().post("auth/token/refresh/", {"refresh": tokens.access})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_key")


def test_it_ends_with_its_time(alice: User) -> None:
    long_ago = timezone.now() - timedelta(seconds=live_settings.ACCESS_TOKEN_SECONDS + 60)
    tokens = issue(alice, now=long_ago)
    assert bearer(tokens.access, "access") is None
    assert bearer(tokens.refresh, "refresh") == alice
    assert bearer(issue(alice).access, "access") == alice


def test_it_ends_with_a_new_password_and_with_a_deactivation(alice: User) -> None:
    tokens = issue(alice)
    alice.set_password("another-password")
    alice.save()
    assert bearer(tokens.access, "access") is None
    assert bearer(tokens.refresh, "refresh") is None
    later = issue(alice)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert bearer(later.access, "access") is None


def test_it_believes_no_token_of_another_make(alice: User) -> None:
    good = issue(alice).access
    claims = jwt.decode(good, options={"verify_signature": False})
    assert bearer(jwt.encode(claims, key="", algorithm="none"), "access") is None
    assert bearer(jwt.encode(claims, key=live_settings.SECRET_KEY * 8, algorithm="HS256"), "access") is None
    key = access_tokens._key()
    assert bearer(jwt.encode(claims, key=key, algorithm="HS256"), "access") == alice
    assert bearer(jwt.encode({**claims, "sub": "2" * 40}, key=key, algorithm="HS256"), "access") is None
    assert bearer(jwt.encode({**claims, "iss": "other"}, key=key, algorithm="HS256"), "access") is None
    without_end = {name: value for name, value in claims.items() if name != "exp"}
    assert bearer(jwt.encode(without_end, key=key, algorithm="HS256"), "access") is None
    assert bearer("a.b." + "c" * 3000, "access") is None
    assert bearer("\xff.\xff.\xff", "access") is None


async def test_it_slows_down_who_guesses_a_password(
    alice: User, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = time.time()  # the tries are counted in windows, which may end at any moment
    monkeypatch.setattr("conversations.sign_in_limits._now", lambda: at_once)
    guess = {"username": "Alice ", "password": "wrong"}
    for _ in range(PAIR.tries):
        assert (await Rest().post("auth/token/", guess)).status_code == 401
    refused = await Rest().post("auth/token/", SIGN_IN)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 0 < int(refused["Retry-After"]) <= PAIR.seconds
    assert refused.json()["detail"].startswith("Too many tries. Wait ")
    other = await Rest().post("auth/token/", {"username": "charlie", "password": "wrong"})
    assert other.status_code == 401  # another name goes on


async def test_it_gives_nobody_a_token_while_tries_cannot_be_counted(
    alice: User, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = (await in_database(issue, alice)).access

    def fail(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(type(caches["default"]), "get", fail)
    assert (await Rest().post("auth/token/", SIGN_IN)).status_code == 503
    assert (await Rest(token).get("models/")).status_code == 200


async def test_it_opens_a_socket_until_it_ends(
    alice: User, conversation: Conversation, open_socket: OpenSocket
) -> None:
    tokens = await in_database(issue, alice)
    socket = await open_socket(conversation.pk, tokens.access)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="Hello", model="demo:0-2-0")
    assert (await socket.until_end())["type"] == "generation.completed"
    with pytest.raises(ConnectionRefusedError):
        await open_socket(conversation.pk, tokens.refresh)
    mine = Credential("token", tokens.access, alice.pk)
    assert await in_database(still_welcome, {mine}) == {mine}
    await in_database(lambda: User.objects.filter(pk=alice.pk).update(is_active=False))
    assert await in_database(still_welcome, {mine}) == set()
