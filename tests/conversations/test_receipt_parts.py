"""Receipts say what the input consisted of, at the end as later."""

from __future__ import annotations

import pytest

from conversations.database import in_database
from conversations.models import Conversation, Generation
from conversations.templatetags import figures
from conversations.thread_page import answered_turns
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_breaks_the_input_down(conversation: Conversation, rest: Rest) -> None:
    conversation.system_prompt = "Be brief."
    await in_database(conversation.save)
    path = f"conversations/{conversation.pk}/messages/"
    await rest.post(path, {"text": "What is a river?", "model": "demo:0-20-0"})
    events = await rest.events(path, {"text": "And a brook?", "model": "demo:0-5-0"})
    receipt = events[-1]["receipt"]
    parts = receipt["breakdown"]
    assert sum(parts.values()) == receipt["input_tokens"]
    assert min(parts[name] for name in ("system", "questions", "answers", "message")) > 4
    assert parts["answers"] > parts["questions"]
    assert (parts["summary"], parts["tools"]) == (0, 0)
    assert receipt["expected_rest_tokens"] is None
    # The page says the same later.
    assert await in_database(_shown_later, conversation) == receipt
    rows = {row.label: row.value for row in figures.receipt_rows(receipt)}
    assert rows["earlier answers"] == f"≈ {parts['answers']}"
    stored = await in_database(Generation.objects.order_by("-created_at").first)
    assert stored is not None
    assert stored.answers_tokens == parts["answers"]


async def test_it_expects_the_rest_of_a_cut_answer(conversation: Conversation, rest: Rest) -> None:
    path = f"conversations/{conversation.pk}/messages/"
    for _ in range(3):
        await rest.post(path, {"text": "Tell me", "model": "demo:0-60-0"})
    answer = (
        await rest.post(path, {"text": "Tell me", "model": "demo:0-60-0", "max_output_tokens": 20})
    ).json()
    assert answer["receipt"]["output_tokens"] == 20
    assert answer["receipt"]["expected_rest_tokens"] == 40
    rows = {row.label: row.value for row in figures.receipt_rows(answer["receipt"])}
    assert rows["of a whole answer missing"] == "≈ 40"


def _shown_later(conversation: Conversation) -> object:
    conversation.refresh_from_db()
    return answered_turns(conversation)[-1].receipt
