"""Sockets are closed when what opened them is over; one check for all of a process, in few queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from django.utils.crypto import get_random_string
from pytest_django import DjangoAssertNumQueries, Settings

from conversations import access_tokens
from conversations.models import ApiKey
from conversations.socket_auth import Credential, still_welcome

pytestmark = pytest.mark.django_db


def session_of(user: User) -> Credential:
    client = Client()
    client.force_login(user)
    return Credential("session", client.cookies["sessionid"].value, user.pk)


def key_of(user: User) -> Credential:
    return Credential("key", ApiKey.create(user=user)[0].digest, user.pk)


def token_of(user: User) -> Credential:
    return Credential("token", access_tokens.issue(user).access, user.pk)


def test_all_that_are_good_stay_in_three_queries(
    alice: User, bob: User, charlie: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    made = [make(user) for user in (alice, bob, charlie) for make in (session_of, key_of, token_of)]
    made += [session_of(alice) for _ in range(5)]
    with django_assert_num_queries(3):
        assert still_welcome(made) == set(made)


def test_nobody_takes_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert still_welcome([]) == set()


def sign_out(user: User) -> None:
    Session.objects.all().delete()


def expire(user: User) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def change_password(user: User) -> None:
    user.set_password(get_random_string(20))
    user.save()


def deactivate(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def delete(user: User) -> None:
    user.delete()


def revoke(user: User) -> None:
    ApiKey.objects.update(revoked_at=timezone.now())


OVER: list[tuple[Callable[[User], None], set[str]]] = [
    (sign_out, {"session"}),
    (expire, {"session"}),
    (change_password, {"session", "token"}),
    (deactivate, {"session", "token", "key"}),
    (delete, {"session", "token", "key"}),
    (revoke, {"key"}),
]


@pytest.mark.parametrize(("change", "ended"), OVER, ids=[change.__name__ for change, _ in OVER])
def test_what_is_over_is_welcome_no_more(
    change: Callable[[User], None], ended: set[str], alice: User, bob: User
) -> None:
    made = {session_of(alice), key_of(alice), token_of(alice)}
    change(alice)
    others = {session_of(bob), key_of(bob), token_of(bob)}
    assert {one.kind for one in made - still_welcome(made | others)} == ended
    assert others <= still_welcome(made | others)


def test_a_session_of_somebody_else_is_no_welcome(alice: User, bob: User) -> None:
    """Who signs in anew as another person keeps the key of the session only if it was nobody's."""
    mine = session_of(alice)
    assert still_welcome({Credential("session", mine.secret, bob.pk)}) == set()
    assert still_welcome({Credential("token", token_of(alice).secret, bob.pk)}) == set()


def test_a_session_outlives_a_new_secret_while_the_old_one_is_known(alice: User, settings: Settings) -> None:
    mine = session_of(alice)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = get_random_string(50), [settings.SECRET_KEY]
    assert still_welcome({mine}) == {mine}
    settings.SECRET_KEY_FALLBACKS = []
    assert still_welcome({mine}) == set()


def test_a_session_of_a_way_in_that_is_closed_is_no_welcome(alice: User, settings: Settings) -> None:
    mine = session_of(alice)
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert still_welcome({mine}) == set()
