"""What somebody sees who opens an address that only takes forms."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

pytestmark = pytest.mark.django_db


def test_it_says_what_to_do_at_the_address_of_a_form(client: Client, alice: User) -> None:
    client.force_login(alice)
    response = client.get(reverse("set_limit"), headers={"accept": "text/html"})
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert "send it again" in response.content.decode()
    assert "Content-Security-Policy" in response.headers


def test_it_says_nothing_to_who_wants_no_page(client: Client, alice: User) -> None:
    client.force_login(alice)
    response = client.get(reverse("set_limit"), headers={"accept": "application/json"})
    assert (response.status_code, response.content) == (405, b"")
