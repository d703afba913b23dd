"""Sending over REST: the answer as JSON."""

from __future__ import annotations

import uuid

import pytest

from conversations.models import Conversation
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


async def test_it_answers_with_the_stored_text_and_a_receipt(conversation: Conversation, rest: Rest) -> None:
    turn_id = uuid.uuid4()

    answer = await rest.post(
        f"conversations/{conversation.pk}/messages/",
        {"text": "Hello", "turn_id": str(turn_id), "model": "demo:0-5-0"},
    )
    print(answer.json())
    assert answer.status_code == 200
