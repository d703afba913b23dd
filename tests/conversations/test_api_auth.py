"""Who may knock at the REST door: by API key, or by session with the CSRF token."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import AsyncClient, RequestFactory
from django.utils import timezone
from rest_framework.request import Request

from conversations.api.authentication import SessionAuthentication
from conversations.database import in_database
from conversations.models import ApiKey, Conversation
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)

NONE = "cs_" + "x" * 43


async def signed_in(user: User, *, checks: bool = True) -> AsyncClient:
    client = AsyncClient(enforce_csrf_checks=checks)
    await in_database(client.force_login, user)
    return client


async def test_it_takes_a_key_and_notes_its_use(alice: User, rest: Rest) -> None:
    assert (await rest.get("conversations/")).status_code == 200
    key = await in_database(ApiKey.objects.get, user=alice)
    assert key.last_used_at is not None
    assert timezone.now() - key.last_used_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "not_authenticated"),
        (f"Bearer {NONE}", "invalid_key"),
        ("Bearer", "invalid_key"),
        ("Bearer cs_\xe9", "invalid_key"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "invalid_key"),
        ("Basic YWxpY2U6YWxpY2U=", "invalid_key"),
    ],
)
async def test_it_asks_who_you_are(rest: Rest, authorization: str | None, code: str) -> None:
    nobody = Rest()
    if authorization is not None:
        nobody.headers = {"Authorization": authorization}
    response = await nobody.get("conversations/")
    assert (response.status_code, response.json()["code"]) == (401, code)
    assert response["WWW-Authenticate"] == 'Bearer realm="chatsite"'


async def test_it_takes_no_key_that_was_revoked_and_none_of_a_deactivated_person(
    alice: User, rest: Rest
) -> None:
    assert (await rest.get("models/")).status_code == 200
    await in_database(lambda: User.objects.filter(pk=alice.pk).update(is_active=False))
    assert (await rest.get("models/")).status_code == 401
    await in_database(lambda: User.objects.filter(pk=alice.pk).update(is_active=True))
    assert (await rest.get("models/")).status_code == 200
    await in_database(lambda: ApiKey.objects.update(revoked_at=timezone.now()))
    assert (await rest.get("models/")).status_code == 401


async def test_it_takes_a_session_with_the_csrf_token(alice: User, rest: Rest) -> None:
    page = Rest(client=await signed_in(alice))
    await page.client.get("/login/")
    # The cookie comes with any page that holds a form.
    signed_out = AsyncClient()
    token = (await signed_out.get("/login/")).cookies["csrftoken"].value
    page.client.cookies["csrftoken"] = token

    without = await page.post("conversations/", {"title": "No"})
    with_it = await page.post("conversations/", {"title": "Yes"}, X_CSRFToken=token)

    assert (await page.get("conversations/")).status_code == 200
    assert (without.status_code, without.json()["code"]) == (403, "csrf_failed")
    assert with_it.status_code == 201
    assert await in_database(lambda: list(Conversation.objects.values_list("title", flat=True))) == ["Yes"]


async def test_it_refuses_a_session_without_csrf_on_every_change(
    conversation: Conversation, alice: User, rest: Rest
) -> None:
    page = Rest(client=await signed_in(alice))
    path = f"conversations/{conversation.pk}/"
    for method, where in (
        ("PATCH", path),
        ("DELETE", path),
        ("DELETE", f"{path}messages/"),
        ("POST", f"{path}messages/"),
    ):
        response = await page.send(method, where, {"text": "Hello", "title": "No"})
        assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")


async def test_it_lets_no_cookie_help_a_wrong_key(alice: User, rest: Rest) -> None:
    both = Rest(NONE, client=await signed_in(alice, checks=False))
    assert (await both.get("conversations/")).status_code == 401


def test_it_looks_at_no_session_beside_any_authorization(alice: User) -> None:
    asked = RequestFactory().get("/api/v1/models/", headers={"Authorization": "Later of-another-kind"})
    asked.user = alice
    assert SessionAuthentication().authenticate(Request(asked)) is None


async def test_it_believes_the_key_and_not_the_cookie_beside_it(
    conversation: Conversation, alice: User, charlie: User, rest: Rest
) -> None:
    secret = (await in_database(ApiKey.create, user=charlie))[1]
    both = Rest(secret, client=await signed_in(alice))
    assert (await both.get(f"conversations/{conversation.pk}/")).status_code == 404
    assert (await both.post("conversations/", {"title": "Charlie's"})).status_code == 201


async def test_it_shows_the_operator_no_chat_of_others(
    conversation: Conversation, root: User, rest: Rest
) -> None:
    operator = Rest((await in_database(ApiKey.create, user=root))[1])
    assert (await operator.get(f"conversations/{conversation.pk}/")).status_code == 404
    assert (await operator.get("conversations/")).json()["results"] == []


async def test_it_answers_many_people_at_once_each_their_own(
    alice: User, charlie: User, rest: Rest, outsider: Rest, conversation: Conversation
) -> None:
    answers = await asyncio.gather(*(who.get("conversations/") for who in (rest, outsider) * 10))
    assert [len(answer.json()["results"]) for answer in answers] == [1, 0] * 10
