"""Fills the product's database for the benchmark of the page; run in a process of its own.

``python -m tests.bench.page_seed TURNS`` registers the model of the long answer and makes a person with a
conversation of ``TURNS`` questions and answers; prints ``{"session": cookie, "long": path, "floor": path}``,
the floor's being empty.
"""

from __future__ import annotations

import io
import os
import sys
import uuid
from typing import Any

import django
import orjson
from django.core.management import call_command

LONG_MODEL = "openai:long"


def fill(turns: int) -> dict[str, Any]:
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    from conversations.models import Conversation
    from llm.models import ModelProfile

    out = io.StringIO()
    prices: dict[str, Any] = {"input_usd": "0.10", "output_usd": "0.40", "cached_usd": "0.05"}
    call_command("model_add", LONG_MODEL, context=128_000, max_output=16_000, **prices, stdout=out)
    # The page asks for as long an answer as the model gives by itself.
    ModelProfile.objects.filter(model_id=LONG_MODEL).update(default_output_tokens=12_000)
    user = User.objects.create_user("reader")
    call_command("budget_set", user="reader", unit="tokens", limit="100000000", period="day", stdout=out)
    client = Client()
    client.force_login(user)
    return {
        "session": client.cookies[settings.SESSION_COOKIE_NAME].value,
        "long": f"/c/{_conversation(user, turns)}/",
        "floor": f"/c/{Conversation.objects.create(owner=user).pk}/",
    }


def _conversation(user: Any, turns: int) -> uuid.UUID:
    from conversations.markdown import to_html
    from conversations.models import Conversation, Generation, State, Turn
    from conversations.models.ids import new_id
    from tests.bench.markdown_upstream import SECTIONS

    conversation = Conversation.objects.create(owner=user, title="A long conversation")
    questions: list[Any] = []
    answers: list[Any] = []
    for number in range(turns):
        parent = questions[-1] if questions else None
        text = "".join(
            SECTIONS[(number + step) % len(SECTIONS)].format(n=number + 1, m=number + 2) for step in (0, 1)
        )
        turn = Turn(
            id=new_id(),
            conversation=conversation,
            turn_id=uuid.uuid4(),
            parent=parent,
            depth=number,
            text=f"Question {number}: what about part {number + 1}?",
        )
        questions.append(turn)
        answers.append(
            Generation(
                conversation=conversation,
                turn=turn,
                model="demo:friendly",
                wanted_output_tokens=200,
                state=State.COMPLETED,
                text=text,
                html=to_html(text),
            )
        )
    Turn.objects.bulk_create(questions, batch_size=500)
    Generation.objects.bulk_create(answers, batch_size=200)
    for turn, answer in zip(questions, answers, strict=True):
        turn.chosen = answer
    Turn.objects.bulk_update(questions, ["chosen"], batch_size=500)
    conversation.head_turn = questions[-1]
    conversation.save()
    return conversation.pk


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
    django.setup()
    print(orjson.dumps(fill(int(sys.argv[1]))).decode())


if __name__ == "__main__":
    main()
