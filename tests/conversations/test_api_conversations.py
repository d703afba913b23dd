"""Conversations over REST: list, create, read, change, delete, status."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from billing.models import Hold, LedgerEntry
from conversations.api import stopping
from conversations.conversations import Changes, change_conversation
from conversations.database import in_database
from conversations.models import Conversation, Generation
from conversations.runtime import get_runtime
from tests.conversations.conftest import OpenSocket, refreshed, written_elsewhere
from tests.conversations.rest import Rest, count_queries

pytestmark = pytest.mark.django_db(transaction=True)


def make(owner: User, count: int, **values: Any) -> list[Conversation]:
    now = timezone.now()
    return [
        Conversation.objects.create(
            owner=owner, title=f"{number}", updated_at=now - timedelta(minutes=number), **values
        )
        for number in range(count)
    ]


async def test_it_lists_by_last_use_page_by_page(alice: User, charlie: User, rest: Rest) -> None:
    await in_database(make, alice, 5)
    await in_database(make, charlie, 2)

    titles: list[str] = []
    sizes: list[int] = []
    page = (await rest.get("conversations/", limit=2)).json()
    while True:
        titles += [row["title"] for row in page["results"]]
        sizes.append(len(page["results"]))
        if page["next"] is None:
            break
        page = (await rest.get(page["next"].removeprefix("http://testserver"))).json()

    assert titles == ["0", "1", "2", "3", "4"]
    assert sizes == [2, 2, 1]


async def test_it_lists_neither_archived_nor_temporary_ones(alice: User, rest: Rest) -> None:
    await in_database(make, alice, 1)
    [archived] = await in_database(make, alice, 1, archived_at=timezone.now())
    await in_database(make, alice, 1, temporary=True)

    usual = (await rest.get("conversations/")).json()["results"]
    others = (await rest.get("conversations/", archived="true")).json()["results"]

    assert [(row["archived"], row["temporary"]) for row in usual] == [(False, False)]
    assert [row["id"] for row in others] == [str(archived.pk)]
    assert "system_prompt" not in usual[0]


async def test_it_lists_many_with_the_queries_of_few(
    alice: User, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_database(make, alice, 2)
    await rest.get("conversations/")
    few = await count_queries(rest, "conversations/", monkeypatch)
    await in_database(make, alice, 40)
    assert await count_queries(rest, "conversations/", monkeypatch) == few <= 2


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense"},
        {"cursor": "cD1ub25zZW5zZQ=="},  # p=nonsense
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "many"},
        {"archived": "perhaps"},
    ],
)
async def test_it_refuses_a_query_that_it_cannot_read(rest: Rest, query: dict[str, str]) -> None:
    response = await rest.get("conversations/", **query)
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


async def test_it_bounds_a_page(alice: User, rest: Rest) -> None:
    await in_database(make, alice, 205)
    assert len((await rest.get("conversations/", limit=10**9)).json()["results"]) == 200


async def test_it_creates_a_conversation(alice: User, rest: Rest) -> None:
    response = await rest.post(
        "conversations/",
        {"title": "Plans", "model": "demo:0-5-0", "system_prompt": "Be brief.\n", "temporary": True},
    )

    made = response.json()
    assert response.status_code == 201
    row = await in_database(Conversation.objects.get, pk=made["id"])
    assert (row.owner_id, row.title, row.title_source) == (alice.pk, "Plans", "person")
    assert (row.model, row.system_prompt, row.temporary) == ("demo:0-5-0", "Be brief.\n", True)
    assert made["system_prompt"] == "Be brief.\n"


async def test_it_creates_one_of_nothing_and_names_it_by_the_first_question(rest: Rest) -> None:
    made = (await rest.post("conversations/")).json()
    assert (made["title"], made["temporary"], made["pinned"], made["archived"]) == ("", False, False, False)

    await rest.post(f"conversations/{made['id']}/messages/", {"text": "Who are you?", "model": "demo:0-1-0"})
    assert (await rest.get(f"conversations/{made['id']}/")).json()["title"] == "Who are you?"


async def test_it_ignores_what_nobody_may_set(alice: User, charlie: User, rest: Rest) -> None:
    foreign = {"id": str(uuid.uuid4()), "owner": charlie.pk, "owner_id": charlie.pk, "is_staff": True}

    made = (await rest.post("conversations/", {"title": "Mine", **foreign})).json()
    await rest.patch(f"conversations/{made['id']}/", {**foreign, "temporary": True})

    assert made["id"] != foreign["id"]
    row = await in_database(Conversation.objects.get, pk=made["id"])
    assert (row.owner_id, row.temporary) == (alice.pk, False)
    assert not (await refreshed(alice)).is_staff


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"title": "x" * 201}, "invalid"),
        ({"title": "a\x00b"}, "invalid"),
        ({"title": None}, "invalid"),
        ({"system_prompt": "x" * 20_001}, "invalid"),
        ({"temporary": "perhaps"}, "invalid"),
        ({"model": "demo:nonsense"}, "unknown_model"),
        ({"model": "no-such:model"}, "unknown_model"),
    ],
)
async def test_it_creates_nothing_of_a_wrong_field(rest: Rest, body: dict[str, Any], code: str) -> None:
    response = await rest.post("conversations/", body)
    assert (response.status_code, response.json()["code"]) == (422, code)
    assert not await in_database(Conversation.objects.exists)


async def test_it_names_the_field_that_is_wrong(rest: Rest) -> None:
    problem = (await rest.post("conversations/", {"title": "x" * 201})).json()
    assert list(problem["errors"]) == ["title"]
    assert problem["detail"] == f"title: {problem['errors']['title'][0]}"


async def test_it_changes_what_is_named_and_nothing_else(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/"
    before = (await rest.get(path)).json()

    changed = await rest.patch(path, {"title": "New", "pinned": True, "archived": True})
    assert changed.json() == {**before, "title": "New", "pinned": True, "archived": True}
    back = await rest.patch(path, {"pinned": False, "archived": False, "model": "demo:0-5-0"})
    assert back.json() == {**before, "title": "New", "model": "demo:0-5-0"}
    cleared = await rest.patch(path, {"title": "", "model": "", "system_prompt": "Rhyme."})
    assert cleared.json() == {**before, "system_prompt": "Rhyme."}
    assert (await rest.patch(path, {})).json() == cleared.json()


async def test_it_tells_other_pages_of_a_new_title(
    conversation: Conversation, rest: Rest, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await rest.patch(f"conversations/{conversation.pk}/", {"title": "New"})
    assert (await socket.until_change("title"))["title"] == "New"


async def test_it_sends_the_system_prompt_with_the_question(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/messages/"
    body = {"text": "Hello", "model": "demo:0-1-0"}
    plain = (await rest.post(path, body)).json()["receipt"]["input_tokens"]
    await rest.delete(path)
    await rest.patch(f"conversations/{conversation.pk}/", {"system_prompt": "Be brief, and rhyme."})
    assert (await rest.post(path, body)).json()["receipt"]["input_tokens"] > plain


async def test_it_deletes_a_conversation(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/"
    await rest.post(f"{path}messages/", {"text": "Hello", "model": "demo:0-1-0"})

    assert (await rest.delete(path)).status_code == 204

    assert (await rest.get(path)).status_code == 404
    assert not await in_database(Conversation.objects.exists)


async def test_it_stops_the_answer_that_is_written_and_deletes(
    conversation: Conversation, rest: Rest
) -> None:
    path = f"conversations/{conversation.pk}/"
    body = {"text": "Hello", "model": "demo:0-500-20"}
    send = asyncio.ensure_future(rest.post(f"{path}messages/", body))
    await _until_streaming(rest, path)

    assert (await rest.delete(path)).status_code == 204

    await asyncio.gather(send, return_exceptions=True)
    assert (await rest.get(path)).status_code == 404
    assert not await in_database(Generation.objects.exists)
    assert not await in_database(Hold.objects.alive().exists)
    entry = await in_database(LedgerEntry.objects.get)
    assert 0 < entry.output_visible_tokens < 500


async def test_it_deletes_nothing_that_another_process_goes_on_writing(
    conversation: Conversation, rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not hear of the stop in time: its answer could not be settled without its row."""
    monkeypatch.setattr(stopping, "STOP_WAIT_SECONDS", 0.1)
    await in_database(written_elsewhere, conversation)

    refused = await rest.delete(f"conversations/{conversation.pk}/")

    assert (refused.status_code, refused.json()["code"]) == (409, "conversation_busy")
    assert await in_database(Conversation.objects.exists)


async def test_it_tells_the_status_of_an_answer(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/"
    empty = (await rest.get(f"{path}status/")).json()
    send = asyncio.ensure_future(rest.post(f"{path}messages/", {"text": "Hello", "model": "demo:0-60-10"}))
    during = await _until_streaming(rest, path)
    answer = (await send).json()
    after = (await rest.get(f"{path}status/")).json()

    assert (empty["busy"], empty["state"], empty["generation_id"]) == (False, None, None)
    assert (during["busy"], during["generation_id"]) == (True, answer["generation_id"])
    assert 0 < during["seq"] <= 60
    assert (after["busy"], after["state"], after["seq"]) == (False, "completed", 60)
    assert (after["turn_id"], after["model"]) == (answer["turn_id"], "demo:0-60-10")


async def test_it_tells_what_an_answer_waits_for(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/"
    body = {"text": "Hello", "turn_id": str(uuid.uuid4()), "model": "demo:0-5-0!429x1@30"}
    send = asyncio.ensure_future(rest.post(f"{path}messages/", body))
    async with asyncio.timeout(10):
        while (status := (await rest.get(f"{path}status/")).json())["state"] != "waiting":
            await asyncio.sleep(0.01)
    await rest.post(f"turns/{body['turn_id']}/stop/")
    answer = await send

    assert (status["busy"], status["waiting_reason"], status["attempt"]) == (True, "rate_limit", 1)
    assert status["retry_at"] is not None
    assert (answer.status_code, answer.json()["state"]) == (200, "stopped")


def test_it_finds_no_conversation_of_another_person(conversation: Conversation, charlie: User) -> None:
    from conversations.exceptions import NotFound

    with pytest.raises(NotFound):
        change_conversation(user_id=charlie.pk, conversation_id=conversation.pk, changes=Changes(title="x"))


async def _until_streaming(rest: Rest, path: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while not any(attempt.stream.seq for attempt in get_runtime().attempts.values()):
            await asyncio.sleep(0.01)
    status: dict[str, Any] = (await rest.get(f"{path}status/")).json()
    return status


@pytest.mark.parametrize("title", ["\\ud800", "\\uDFFF!", "\\ud83d\\ud83d"])
async def test_half_a_character_is_no_text(title: str, rest: Rest) -> None:
    for path, body in (("conversations/", f'{{"title": "{title}"}}'), ("budgets/", f'{{"unit": "{title}"}}')):
        response = await rest.client.post(
            f"/api/v1/{path}", body, content_type="application/json", headers=rest.headers
        )
        assert (response.status_code, response.json()["code"]) == (400, "malformed"), path


async def test_a_character_in_two_halves_is_one(rest: Rest) -> None:
    response = await rest.client.post(
        "/api/v1/conversations/",
        '{"title": "\\ud83c\\udf0a"}',
        content_type="application/json",
        headers=rest.headers,
    )
    assert response.json()["title"] == "\N{WATER WAVE}"
