"""Signing in, up and out."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

pytestmark = pytest.mark.django_db


def test_it_asks_a_stranger_to_sign_in(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 302
    assert response["Location"] == "/login/?next=/"


def test_it_signs_in_and_shows_a_new_chat(client: Client, alice: User) -> None:
    page = client.post("/login/", {"username": "alice", "password": "alice-password"}, follow=True)
    assert page.status_code == 200
    assert "What would you like to know?" in page.content.decode()


def test_it_says_plainly_that_name_and_password_do_not_fit(client: Client, alice: User) -> None:
    page = client.post("/login/", {"username": "alice", "password": "wrong"})
    assert "do not go together" in page.content.decode()
    assert "wrong" not in page.content.decode()


def test_it_does_not_send_a_person_to_a_foreign_site_after_sign_in(client: Client, alice: User) -> None:
    answer = client.post(
        "/login/", {"username": "alice", "password": "alice-password", "next": "https://evil.example/"}
    )
    assert answer["Location"] == "/"


def test_it_makes_an_account_and_signs_in(client: Client, settings: Settings) -> None:
    settings.SIGNUP_OPEN = True
    password = "correct horse battery"
    page = client.post("/signup/", {"username": "dora", "password1": password, "password2": password})
    assert page["Location"] == "/"
    assert User.objects.get(username="dora").check_password(password)
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("method", ["get", "post"])
def test_it_makes_no_account_where_sign_up_is_closed(client: Client, settings: Settings, method: str) -> None:
    settings.SIGNUP_OPEN = False
    data = {"username": "dora", "password1": "correct horse battery", "password2": "correct horse battery"}
    assert getattr(client, method)("/signup/", data).status_code == 403
    assert not User.objects.exists()
    assert "Make an account" not in client.get("/login/").content.decode()


def test_it_signs_out_by_post_alone(client: Client, alice: User) -> None:
    client.force_login(alice)
    assert client.get("/logout/").status_code == 405
    assert client.get("/").status_code == 200
    client.post("/logout/")
    assert client.get("/").status_code == 302
