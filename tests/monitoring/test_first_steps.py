"""The admin's first page says what an admin comes to do, and each step opens."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from monitoring.first_steps import steps_of
from monitoring.models import Incident

pytestmark = pytest.mark.django_db


def test_each_step_leads_to_a_page_that_opens(root: User, client: Client) -> None:
    client.force_login(root)
    steps = steps_of(root)
    assert len(steps) == 8
    assert [client.get(step.address).status_code for step in steps] == [200] * 8
    page = client.get("/admin/").content.decode()
    assert "What an admin does here" in page
    assert all(step.label in page for step in steps)


def test_it_says_which_keys_are_set_and_what_waits(root: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert steps_of(root)[0].state == "No key is set"
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    now = timezone.now()
    Incident.objects.create(rule="error_rate", subject="site", title="x", opened_at=now, seen_at=now)
    assert steps_of(root)[0].state == "Key set: gemini"
    assert steps_of(root)[-1].state == "1 open"


def test_staff_see_what_they_may_do_alone(alice: User) -> None:
    alice.is_staff = True
    alice.save()
    assert steps_of(alice) == []
    alice.user_permissions.add(Permission.objects.get(codename="view_incident"))
    assert [step.label for step in steps_of(User.objects.get(pk=alice.pk))] == ["Look at alerts"]
