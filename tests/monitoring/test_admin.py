"""Operators look at incidents in the admin; nobody edits them."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from monitoring.models import BooksCheck, Incident, Notice

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(now: datetime) -> Incident:
    incident = Incident.objects.create(
        rule="silence", subject="worker", title="The worker is silent", opened_at=now, seen_at=now
    )
    Notice.objects.create(incident=incident, kind="opened", channel="log", created_at=now)
    BooksCheck.objects.create(checked_at=now, seconds=1, failed={"I7": ["1"]})
    return incident


def test_an_operator_reads_incidents_and_edits_none(client: Client, root: User, incident: Incident) -> None:
    client.force_login(root)
    listed = client.get("/admin/monitoring/incident/").content.decode()
    assert "The worker is silent" in listed
    page = client.get(f"/admin/monitoring/incident/{incident.pk}/change/")
    assert "silence" in page.content.decode()
    assert b'name="_save"' not in page.content
    assert client.post(f"/admin/monitoring/incident/{incident.pk}/delete/").status_code == 403
    assert client.get("/admin/monitoring/incident/add/").status_code == 403
    assert "I7" in client.get("/admin/monitoring/bookscheck/").content.decode()


def test_others_see_nothing(client: Client, alice: User, incident: Incident) -> None:
    client.force_login(alice)
    assert client.get("/admin/monitoring/incident/").status_code == 302
    alice.is_staff = True
    alice.save()
    assert client.get("/admin/monitoring/incident/").status_code == 403
