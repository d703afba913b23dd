"""Links for new passwords from an admin's hand."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client

pytestmark = pytest.mark.django_db

USERS = "/admin/auth/user/"


def links(client: Client, *people: User) -> list[tuple[str, str]]:
    data = {"action": "make_password_links", "_selected_action": [str(one.pk) for one in people]}
    page = client.post(USERS, data)
    if page.status_code != 200:
        return []
    assert "no-cache" in page["Cache-Control"]
    return list(page.context.get("links", []))


def test_an_admin_makes_a_link_and_it_opens(client: Client, root: User, alice: User, bob: User) -> None:
    client.force_login(root)
    bob.is_active = False
    bob.save()
    [(name, link)] = links(client, alice, bob)
    assert name == "alice"
    page = Client().get(link.removeprefix("http://testserver"), follow=True)
    assert "For alice." in page.content.decode()
    entry = LogEntry.objects.get()
    assert (entry.object_repr, entry.user_id) == ("alice", root.pk)


def test_who_is_no_superuser_makes_none_for_a_superuser(client: Client, root: User, alice: User) -> None:
    alice.is_staff = True
    alice.save()
    alice.user_permissions.set(Permission.objects.filter(codename__in=["view_user", "change_user"]))
    client.force_login(alice)
    assert links(client, root) == []
    assert [name for name, _ in links(client, root, alice)] == ["alice"]


def test_who_may_only_look_makes_none(client: Client, alice: User, bob: User) -> None:
    alice.is_staff = True
    alice.save()
    alice.user_permissions.set(Permission.objects.filter(codename="view_user"))
    client.force_login(alice)
    assert links(client, bob) == []
    assert LogEntry.objects.count() == 0
