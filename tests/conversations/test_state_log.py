"""The log of answers: a line per change of state, ids on every line, and never a word of a message."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from typing import Any

import pytest
import pytest_asyncio
from pytest_django import Settings

from chatsite.logs import logging_config
from conversations.database import in_database
from conversations.models import Conversation
from conversations.state_log import presentable
from llm.messages import ChatRequest, Message
from llm.models import ModelProfile, Provider
from tests.conversations.conftest import OpenSocket
from tests.fakes.http_server import Reply, Send
from tests.fakes.provider_server import ProviderServer

pytestmark = pytest.mark.django_db(transaction=True)

QUESTION = "Why do purple elephants whisper sonnets at midnight?"
STATES = ("queued", "running", "streaming", "completed")
KEY = "test-key-0123456789"


class Lines:
    def __init__(self, stream: StringIO) -> None:
        self.stream = stream

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def states(self) -> list[tuple[str, str, int]]:
        return [
            (line["state"], line.get("code", ""), line.get("attempt", 0))
            for line in self.all
            if line["logger"] == "conversations.states" and "state" in line
        ]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Everything that this process logs, down to DEBUG, as the site writes it."""
    formatter = logging_config(style="json", level="DEBUG")["formatters"]["line"]
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter.pop("()")(**formatter))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield Lines(stream)
    root.removeHandler(handler)
    root.setLevel(level)


@pytest_asyncio.fixture
async def server(settings: Settings) -> AsyncIterator[ProviderServer]:
    server = ProviderServer()
    await server.start()
    settings.PROVIDER_HOSTS = ["127.0.0.1"]
    settings.SCRIPTED_API_KEY = KEY

    def configure() -> None:
        provider = Provider.objects.create(
            name="scripted",
            kind="openai_compatible",
            base_url=f"{server.url}/v1",
            api_key_env="SCRIPTED_API_KEY",
        )
        ModelProfile.objects.create(
            provider=provider,
            model_id="scripted:one",
            context_window_tokens=8000,
            max_output_tokens=1000,
            default_output_tokens=500,
        )

    await in_database(configure)
    yield server
    await server.stop()


async def test_each_change_of_state_is_one_line_with_its_ids(
    alice_key: str, conversation: Conversation, open_socket: OpenSocket, lines: Lines, settings: Settings
) -> None:
    socket = await open_socket(conversation.pk, alice_key, [(b"x-request-id", b"socket-7")])
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text=QUESTION, model="demo:20-5-1")
    end = await socket.until_end()
    assert lines.states() == [(state, "", int(state != "queued")) for state in STATES]
    for line in lines.all:
        if line["logger"] == "conversations.states":
            assert line["request_id"] == "socket-7"
            assert line["turn_id"] == str(turn_id)
            assert line["generation_id"] == end["generation_id"]
            assert line["model"] == "demo:20-5-1"


async def test_no_line_of_a_whole_story_holds_text_or_the_key(
    alice_key: str, conversation: Conversation, open_socket: OpenSocket, lines: Lines, server: ProviderServer
) -> None:
    """A good answer, one cut in the middle, refused frames, and a provider that echoes what it was sent."""
    words = f"You asked {QUESTION!r} with {KEY}"
    echo = json.dumps({"error": {"message": words, "type": "invalid"}}).encode()
    socket = await open_socket(conversation.pk, alice_key)
    answers = []
    for model in ("demo:friendly", "demo:0-60-0!die@40", "demo:0-5-0!block"):
        await socket.send("turn.create", turn_id=uuid.uuid4(), text=QUESTION, model=model)
        answers.append((await socket.until_end())["text"])
    server.script(Reply([Send(echo)], status=400, headers={"Content-Type": "application/json"}))
    await socket.send("turn.create", turn_id=uuid.uuid4(), text=QUESTION, model="scripted:one")
    assert (await socket.until_end())["error"]["code"] == "bad_request"
    await socket.send("turn.create", turn_id=uuid.uuid4(), text=QUESTION * 200, model="demo:friendly")
    await socket.until("turn.refused")
    await socket.send_raw('{"type": "turn.create", "text": "' + QUESTION)
    await socket.until("error")
    written = lines.stream.getvalue()
    assert ("failed", "bad_request", 1) in lines.states()
    assert "[withheld: it quotes the request]" in written
    assert KEY not in written
    for text in (QUESTION, *answers):
        pieces = [text[at : at + 20] for at in range(0, max(len(text) - 20, 1), 10)]
        assert [piece for piece in pieces if piece.strip() and json.dumps(piece)[1:-1] in written] == []


async def test_a_wait_says_why_and_how_long(
    alice_key: str, conversation: Conversation, open_socket: OpenSocket, lines: Lines
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, text=QUESTION, model="demo:0-5-0!429x1@50")
    await socket.until("generation.waiting")
    waiting = next(line for line in lines.all if line.get("state") == "waiting")
    assert (waiting["code"], waiting["attempt"]) == ("rate_limited", 1)
    assert 40 < waiting["wait_seconds"] < 62
    await socket.send("turn.stop", turn_id=turn_id)
    await socket.until_end()
    assert lines.states()[-1][0] == "stopped"


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("API key not valid. Please pass a valid key.", True),
        ("invalid: purple elephants WHISPER", False),
        (r"invalid: \u0070urple elephants", False),
        ("prompt 'Grüße' refused", False),
        (f"bad key {KEY}", True),
    ],
)
def test_a_providers_words_are_withheld_where_they_quote_the_request(detail: str, shown: bool) -> None:
    messages = (Message("user", "Grüße"), Message("assistant", "Hm"), Message("user", QUESTION))
    request = ChatRequest("one", messages, 10)
    presented = presentable(detail, request, api_key=KEY)
    assert (presented != "[withheld: it quotes the request]") is shown
    assert KEY not in presented
