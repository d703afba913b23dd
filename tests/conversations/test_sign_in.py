"""Guessing passwords: who guesses waits, nobody else does, and it is said in the same words of every name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from django.contrib.auth import aauthenticate, authenticate
from django.contrib.auth.models import User
from django.core.cache import caches
from django.test import Client, RequestFactory

from conversations import sign_in_limits
from conversations.sign_in_limits import ADDRESS, NAME, PAIR, admit, forgive

HOME, OFFICE, ELSEWHERE = "198.51.100.7", "198.51.100.8", "203.0.113.9"
NOON = 1_800_000_000.0  # the beginning of an hour, and of five minutes
RIGHT = {"username": "alice", "password": "alice-password"}
WRONG = {"username": "alice", "password": "wrong"}


@pytest.fixture(autouse=True)
def _no_tries_yet(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tries of earlier tests do not count, and no window ends meanwhile."""
    monkeypatch.setattr(sign_in_limits, "_now", lambda: NOON)
    yield
    sign_in_limits._LOCAL.clear()


# --- Counts -------------------------------------------------------------------


def test_it_lets_a_pair_wait_until_its_window_ends() -> None:
    assert [admit("alice", HOME, now=NOON + 10) for _ in range(PAIR.tries)] == [0] * PAIR.tries
    assert admit("Alice ", HOME, now=NOON + 10) == PAIR.seconds - 10
    assert admit("alice", OFFICE, now=NOON + 10) == 0  # the person elsewhere
    assert admit("bob", HOME, now=NOON + 10) == 0  # a colleague at the same address
    assert admit("alice", HOME, now=NOON + PAIR.seconds) == 0


def test_it_counts_an_address_over_all_names() -> None:
    for number in range(ADDRESS.tries):
        assert admit(f"person-{number}", HOME, now=NOON) == 0
    assert admit("one-more", HOME, now=NOON) == ADDRESS.seconds
    assert admit("one-more", OFFICE, now=NOON) == 0


def test_it_takes_a_network_of_ipv6_for_one_address() -> None:
    for number in range(PAIR.tries):
        assert admit("alice", f"2001:db8:1:2::{number:x}", now=NOON) == 0
    assert admit("alice", "2001:db8:1:2:ffff::1", now=NOON) > 0
    assert admit("alice", "2001:db8:1:3::1", now=NOON) == 0


def test_it_keeps_nobody_out_of_where_they_have_signed_in_before() -> None:
    admit("alice", HOME, now=NOON)
    forgive("alice", HOME, now=NOON)
    for number in range(NAME.tries):
        admit("alice", f"203.0.113.{number}", now=NOON)
    assert admit("alice", ELSEWHERE, now=NOON) == NAME.seconds
    assert admit("alice", HOME, now=NOON) == 0


def test_what_was_right_does_not_count() -> None:
    for _ in range(3 * ADDRESS.tries):
        assert admit("alice", HOME, now=NOON) == 0
        forgive("alice", HOME, now=NOON)


# --- Doors ----------------------------------------------------------------------


def guess(client: Client, address: str, page: str = "/login/") -> None:
    for _ in range(PAIR.tries):
        assert client.post(page, WRONG, REMOTE_ADDR=address).status_code == 200


@pytest.mark.django_db
def test_it_slows_down_who_guesses_at_the_page_and_nobody_else(
    client: Client, alice: User, bob: User
) -> None:
    guess(client, HOME)
    refused = client.post("/login/", RIGHT, REMOTE_ADDR=HOME)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= PAIR.seconds
    assert "Too many tries. Wait " in refused.content.decode()
    assert "do not go together" not in refused.content.decode()
    colleague = Client().post("/login/", {"username": "bob", "password": "bob-password"}, REMOTE_ADDR=HOME)
    assert colleague.status_code == 302
    assert Client().post("/login/", RIGHT, REMOTE_ADDR=OFFICE).status_code == 302


@pytest.mark.django_db
def test_it_says_the_same_of_a_name_that_nobody_has(client: Client, alice: User) -> None:
    pages = []
    for name in ("alice", "nobody"):
        for _ in range(PAIR.tries + 1):
            page = client.post("/login/", {"username": name, "password": "x"}, REMOTE_ADDR=HOME)
        assert page.status_code == 429
        pages.append(page.content.decode().partition('role="alert">')[2].partition("<")[0])
    assert pages[0] == pages[1] != ""


@pytest.mark.django_db
def test_it_counts_at_all_doors_together(client: Client, root: User) -> None:
    wrong = {"username": "root", "password": "wrong"}
    for number in range(PAIR.tries):
        client.post("/admin/login/" if number % 2 else "/login/", wrong, REMOTE_ADDR=HOME)
    page = client.post("/admin/login/", {**wrong, "password": "root-password"}, REMOTE_ADDR=HOME)
    assert "Too many tries. Wait " in page.content.decode()
    assert "_auth_user_id" not in client.session


@pytest.mark.django_db
def test_it_counts_for_itself_while_the_cache_is_away(
    client: Client, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    for name in ("get", "add", "incr", "set"):
        monkeypatch.setattr(type(caches["default"]), name, fail)
    assert Client().post("/login/", RIGHT, REMOTE_ADDR=OFFICE).status_code == 302
    guess(client, HOME)
    assert client.post("/login/", RIGHT, REMOTE_ADDR=HOME).status_code == 429


@pytest.mark.django_db
def test_it_counts_nothing_without_a_request(alice: User) -> None:
    for _ in range(PAIR.tries + 5):
        assert authenticate(username="alice", password="wrong") is None
    assert authenticate(username="alice", password="alice-password") == alice


@pytest.mark.django_db(transaction=True)
def test_many_tries_at_once_do_not_slip_through(alice: User) -> None:
    async def all_at_once() -> list[int]:
        async def one() -> int:
            request = RequestFactory().post("/login/", REMOTE_ADDR=HOME)
            await aauthenticate(request, **WRONG)
            return int(request.META.get("chatsite.sign_in_wait_seconds", 0))

        return list(await asyncio.gather(*(one() for _ in range(30))))

    waits = asyncio.run(all_at_once())
    assert sum(wait == 0 for wait in waits) == PAIR.tries
