"""The kind of a turn is stored with it, and settled with each call."""

from __future__ import annotations

import pytest

from billing.models import LedgerEntry
from conversations.database import in_database
from conversations.models import Conversation, Turn
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(rest: Rest, conversation: Conversation, text: str, model: str = "demo:0-5-0") -> str:
    answer = await rest.post(f"conversations/{conversation.pk}/messages/", {"text": text, "model": model})
    assert answer.status_code == 200, answer.content
    turn = await in_database(Turn.objects.get, turn_id=answer.json()["turn_id"])
    entry = await in_database(LedgerEntry.objects.latest, "id")
    assert entry.turn_kind == turn.kind
    return turn.kind


async def test_it_is_what_question_and_answer_say(conversation: Conversation, rest: Rest) -> None:
    assert await ask(rest, conversation, "Plan a week of simple dinners for two") == "other"
    assert await ask(rest, conversation, "Shorter please") == "follow_up"
    assert (
        await ask(rest, conversation, "Why do leaves fall when the days are getting shorter?")
        == "explanation"
    )
    # Nothing in the question says so: the fence in the answer does.
    assert (
        await ask(rest, conversation, "A small script that sorts my photos, please", "demo:friendly")
        == "code"
    )


async def test_it_is_settled_anew_with_another_version(conversation: Conversation, rest: Rest) -> None:
    kind = await ask(rest, conversation, "A small script that sorts my photos, please", "demo:friendly")
    assert kind == "code"
    turn = await in_database(Turn.objects.get)
    answer = await rest.post(f"turns/{turn.turn_id}/regenerate/", {"model": "demo:0-5-0"})
    assert answer.status_code == 200
    kinds = await in_database(
        lambda: list(LedgerEntry.objects.order_by("id").values_list("turn_kind", flat=True))
    )
    assert kinds == ["code", "other"]
