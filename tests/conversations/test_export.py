"""A conversation as a file, by REST and by the page's menu."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.test import Client

from conversations.database import in_database
from conversations.export import export_response, file_name
from conversations.models import Conversation
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


async def converse(conversation: Conversation, rest: Rest) -> list[str]:
    """Two versions of an answer, then another wording of the question. Returns the turns' ids."""
    path = f"conversations/{conversation.pk}/messages/"
    await rest.patch(f"conversations/{conversation.pk}/", {"title": "Rivers & boats, briefly"})
    first = (await rest.post(path, {"text": "What is **this**?", "model": "demo:0-5-0"})).json()["turn_id"]
    await rest.post(f"turns/{first}/regenerate/", {"model": "demo:0-7-0"})
    edit = {"text": "What is that?", "new_turn_id": str(uuid.uuid4()), "model": "demo:0-9-0"}
    await rest.post(f"turns/{first}/edit/", edit)
    return [first, edit["new_turn_id"]]


async def test_it_tells_the_branch_that_is_shown_in_markdown(conversation: Conversation, rest: Rest) -> None:
    await converse(conversation, rest)

    response = await rest.get(f"conversations/{conversation.pk}/export/", format="markdown")

    text = response.content.decode()
    assert response["Content-Type"] == "text/markdown; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="rivers-boats-briefly.md"'
    assert text.startswith("# Rivers & boats, briefly\n\n## You\n\nWhat is that?\n\n## Assistant (0-9-0)\n\n")
    assert "What is **this**?" not in text
    assert text.count("## Assistant") == 1
    assert " tokens · " in text


async def test_it_holds_all_wordings_and_versions_in_json(conversation: Conversation, rest: Rest) -> None:
    first, second = await converse(conversation, rest)

    response = await rest.get(f"conversations/{conversation.pk}/export/")

    told: dict[str, Any] = orjson.loads(response.content)
    assert response["Content-Disposition"].endswith('.json"')
    assert (told["format_version"], told["title"]) == (1, "Rivers & boats, briefly")
    assert told["head_turn_id"] == second
    assert [turn["turn_id"] for turn in told["turns"]] == [first, second]
    assert [len(turn["answers"]) for turn in told["turns"]] == [2, 1]
    one, other = told["turns"][0]["answers"]
    assert (one["model"], other["model"]) == ("demo:0-5-0", "demo:0-7-0")
    assert told["turns"][0]["chosen_generation_id"] == other["generation_id"]
    assert one["receipt"]["output_tokens"] == 5
    assert one["receipt"]["temperature"] == 0.7
    assert one["text"]


async def test_it_says_how_an_answer_ended(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/"
    await rest.post(f"{path}messages/", {"text": "Hello", "model": "demo:0-100-0!die@60"})
    text = (await rest.get(f"{path}export/", format="markdown")).content.decode()
    assert "*Interrupted. The connection to the model was lost. " in text


async def test_it_refuses_other_formats(conversation: Conversation, rest: Rest) -> None:
    response = await rest.get(f"conversations/{conversation.pk}/export/", format="pdf")
    assert (response.status_code, response.json()["code"]) == (400, "malformed")


async def test_the_pages_offer_both_files_to_the_owner_alone(
    conversation: Conversation, rest: Rest, alice: User, charlie: User
) -> None:
    await converse(conversation, rest)

    def fetch(user: User, extension: str) -> Any:
        client = Client()
        client.force_login(user)
        return client.get(f"/c/{conversation.pk}/export.{extension}")

    assert (await in_database(fetch, alice, "md")).content.startswith(b"# Rivers")
    assert orjson.loads((await in_database(fetch, alice, "json")).content)["title"].startswith("Rivers")
    assert (await in_database(fetch, charlie, "md")).status_code == 404


@pytest.mark.parametrize(
    ("title", "name"),
    [("", "conversation.md"), ('Äpfel\r\n"und"/Birnen', "äpfel-und-birnen.md"), ("日本 _", "日本.md")],
)
def test_it_names_the_file_by_the_title(title: str, name: str) -> None:
    assert file_name(Conversation(title=title), "md") == name


async def test_it_gives_the_name_of_the_file_in_any_alphabet(conversation: Conversation) -> None:
    conversation.title = "Äpfel"
    response = await in_database(export_response, conversation, "json")
    assert response["Content-Disposition"] == "attachment; filename*=utf-8''%C3%A4pfel.json"
