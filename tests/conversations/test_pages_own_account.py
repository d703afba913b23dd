"""A person's own password and keys."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from conversations.models import ApiKey

pytestmark = pytest.mark.django_db

NEW = "correct horse battery"


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def change(client: Client, *, old: str, new: str = NEW, again: str = NEW) -> str:
    data = {"old_password": old, "new_password1": new, "new_password2": again}
    return client.post("/account/password/", data, follow=True).content.decode()


def test_it_changes_the_password_and_stays_signed_in_here_alone(signed_in: Client, alice: User) -> None:
    elsewhere = Client()
    elsewhere.force_login(alice)
    assert "The password is changed" in change(signed_in, old="alice-password")
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert signed_in.get("/account/").status_code == 200
    assert elsewhere.get("/account/").status_code == 302


@pytest.mark.parametrize(
    ("old", "new", "again", "words"),
    [
        ("wrong", NEW, NEW, "This is not your present password."),
        ("alice-password", NEW, NEW + "x", "The two passwords are not the same."),
        ("alice-password", "12345678", "12345678", "numeric"),
    ],
)
def test_it_says_why_a_password_is_not_changed(
    signed_in: Client, alice: User, old: str, new: str, again: str, words: str
) -> None:
    assert words in change(signed_in, old=old, new=new, again=again)
    alice.refresh_from_db()
    assert alice.check_password("alice-password")


def test_a_key_is_shown_once_and_opens_until_it_is_revoked(signed_in: Client, alice: User) -> None:
    page = signed_in.post("/account/keys/", {"name": "laptop"})
    key = ApiKey.objects.get(user=alice)
    secret = page.context["secret"]
    assert secret in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    assert secret not in signed_in.get("/account/").content.decode()
    assert ApiKey.objects.find(secret) == key
    signed_in.post(f"/account/keys/{key.pk}/revoke/")
    assert ApiKey.objects.find(secret) is None
    assert "No keys yet." in signed_in.get("/account/").content.decode()


def test_nobody_revokes_the_key_of_another(signed_in: Client, bob: User) -> None:
    key, _ = ApiKey.create(user=bob, name="his")
    assert signed_in.post(f"/account/keys/{key.pk}/revoke/").status_code == 404
    key.refresh_from_db()
    assert key.revoked_at is None


def test_the_chat_leads_to_the_account_and_admins_to_the_administration(
    signed_in: Client, alice: User
) -> None:
    assert 'href="/account/"' in signed_in.get("/").content.decode()
    assert "Administration" not in signed_in.get("/").content.decode()
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    assert 'href="/admin/"' in signed_in.get("/").content.decode()
