"""Preferences and search over REST."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from conversations.database import in_database
from conversations.models import Conversation, Preferences
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_reads_and_changes_preferences(alice: User, rest: Rest) -> None:
    assert (await rest.get("preferences/")).json() == {
        "default_model": "",
        "context_policy": "",
        "titles": True,
        "timezone": "UTC",
    }
    changed = await rest.patch("preferences/", {"titles": False, "timezone": "Asia/Kathmandu"})
    assert (changed.json()["titles"], changed.json()["timezone"]) == (False, "Asia/Kathmandu")
    wishes = {"default_model": "demo:0-3-0", "context_policy": "last_10_messages"}
    changed = await rest.patch("preferences/", wishes)
    assert changed.json() == {**wishes, "titles": False, "timezone": "Asia/Kathmandu"}
    assert (await in_database(Preferences.objects.get, user=alice)).makes_titles is False
    default = [one["id"] for one in (await rest.get("models/")).json()["results"] if one["default"]]
    assert default in ([], ["demo:0-3-0"])  # a model that is not listed has no row
    made = (await rest.post("conversations/")).json()
    answer = (await rest.post(f"conversations/{made['id']}/messages/", {"text": "Hello"})).json()
    assert answer["model"] == "demo:0-3-0"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"default_model": "demo:nothing-such"}, "unknown_model"),
        ({"timezone": "Mars/Olympus"}, "invalid"),
        ({"context_policy": "all"}, "invalid"),
        ({"titles": "perhaps"}, "invalid"),
    ],
)
async def test_it_changes_all_or_nothing(fields: dict[str, Any], code: str, alice: User, rest: Rest) -> None:
    response = await rest.patch("preferences/", {"titles": False, **fields})
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert not await in_database(Preferences.objects.filter(user=alice, makes_titles=False).exists)


async def test_it_finds_one_s_own_conversations(alice: User, rest: Rest, outsider: Rest) -> None:
    made = await in_database(Conversation.objects.create, owner=alice, title="Tides and the moon")
    address = f"conversations/{made.pk}/"
    await rest.post(f"{address}messages/", {"text": "Why are there two a day?", "model": "demo:0-3-0"})
    await in_database(Conversation.objects.filter(pk=made.pk).update, archived_at=timezone.now())
    [found] = (await rest.get("search/", q="MOON")).json()["results"]
    assert (found["conversation"]["id"], found["conversation"]["archived"]) == (str(made.pk), True)
    assert found["snippet"] == ""
    [found] = (await rest.get("search/", q="two  a day")).json()["results"]
    assert "two a day" in found["snippet"]
    assert found["turn_id"] == str((await in_database(made.turns.get)).turn_id)
    assert (await rest.get("search/")).json() == {"results": []}
    assert (await outsider.get("search/", q="moon")).json() == {"results": []}
    assert (await rest.get("search/", q="x" * 201)).json()["code"] == "malformed"
