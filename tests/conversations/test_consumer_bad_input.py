"""Bad frames: a clear error, the socket stays up, nothing is stored or charged."""

from __future__ import annotations

import uuid
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from django.test import Client

from billing.models import Hold
from conversations.consumers import ConversationConsumer
from conversations.database import in_database
from conversations.models import ApiKey, Conversation, Turn
from tests.conversations.conftest import OpenSocket

pytestmark = pytest.mark.django_db(transaction=True)

BAD_FRAMES = [
    ("not json", "{", "bad_json"),
    ("not a number", "NaN", "bad_json"),
    ("nested too deep", "[" * 5000, "bad_json"),
    ("lone surrogate", '{"type":"ping","x":"\\ud800"}', "bad_json"),
    ("a list", "[]", "bad_frame"),
    ("a word", '"turn.create"', "bad_frame"),
    ("no type", "{}", "unknown_type"),
    ("unknown type", '{"type":"turn.destroy"}', "unknown_type"),
    ("type of a type", '{"type":["ping"]}', "unknown_type"),
    ("no turn id", '{"type":"turn.create","text":"x"}', "bad_frame"),
    ("bad turn id", '{"type":"turn.create","turn_id":"7","text":"x"}', "bad_frame"),
    ("text is a number", f'{{"type":"turn.create","turn_id":"{uuid.uuid4()}","text":5}}', "bad_frame"),
    (
        "negative seq",
        f'{{"type":"stream.resume","generation_id":"{uuid.uuid4()}","after_seq":-1}}',
        "bad_frame",
    ),
]


@pytest.mark.parametrize(
    ("frame", "code"), [row[1:] for row in BAD_FRAMES], ids=[row[0] for row in BAD_FRAMES]
)
async def test_it_answers_a_bad_frame_with_an_error_and_stays_open(
    frame: str, code: str, conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send_raw(frame)
    assert (await socket.until("error"))["code"] == code
    await socket.send("ping")
    await socket.until("pong")
    assert await in_database(Turn.objects.count) == 0


async def test_it_refuses_binary_frames(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send_raw(b"\x00\x01")
    assert (await socket.until("error"))["code"] == "bad_frame"


async def test_it_closes_a_socket_that_sends_more_than_64_kb(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send_raw(orjson.dumps({"type": "ping", "padding": "x" * 65_536}).decode())
    assert await socket.closed_with() == 1009


REFUSED = [
    ("empty", {"text": ""}, "message_empty"),
    ("blank", {"text": " \n\t"}, "message_empty"),
    ("too long", {"text": "x" * 4001}, "message_too_long"),
    ("NUL", {"text": "a\x00b"}, "message_invalid"),
    ("unknown model", {"text": "x", "model": "nobody:nothing"}, "unknown_model"),
    ("unknown demo", {"text": "x", "model": "demo:what"}, "unknown_model"),
    ("hot", {"text": "x", "model": "demo:0-1-0", "temperature": 99}, "invalid_temperature"),
    ("cold", {"text": "x", "model": "demo:0-1-0", "temperature": -0.1}, "invalid_temperature"),
    ("no answer", {"text": "x", "model": "demo:0-1-0", "max_output_tokens": 0}, "invalid_max_output_tokens"),
    (
        "endless",
        {"text": "x", "model": "demo:0-1-0", "max_output_tokens": 10**9},
        "invalid_max_output_tokens",
    ),
]


@pytest.mark.parametrize(("fields", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_it_refuses_what_cannot_be_asked_and_stores_nothing(
    fields: dict[str, object],
    code: str,
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    turn_id = uuid.uuid4()
    await socket.send("turn.create", turn_id=turn_id, **fields)
    refused = await socket.until("turn.refused")
    assert (refused["turn_id"], refused["code"]) == (str(turn_id), code)
    assert refused["detail"].endswith((".", "!"))
    assert await in_database(Turn.objects.count) == 0
    assert await in_database(Hold.objects.count) == 0


async def test_it_takes_a_message_of_exactly_the_limit(
    conversation: Conversation, alice_key: str, open_socket: OpenSocket
) -> None:
    socket = await open_socket(conversation.pk, alice_key)
    await socket.send("turn.create", turn_id=uuid.uuid4(), text="x" * 4000, model="demo:0-1-0")
    assert (await socket.until_end())["type"] == "generation.completed"


async def test_it_refuses_the_conversation_of_somebody_else_like_an_unknown_one(
    conversation: Conversation, charlie: User, open_socket: OpenSocket
) -> None:
    _, secret = await in_database(ApiKey.create, user=charlie)
    for conversation_id in (conversation.pk, uuid.uuid4()):
        with pytest.raises(ConnectionRefusedError):
            await open_socket(conversation_id, secret)


@pytest.mark.parametrize("secret", ["cs_wrong", "sk-other", "x"])
async def test_it_refuses_an_unknown_key(
    secret: str, conversation: Conversation, open_socket: OpenSocket
) -> None:
    with pytest.raises(ConnectionRefusedError):
        await open_socket(conversation.pk, secret)


def session_cookie(user: User) -> bytes:
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}".encode()


ORIGINS = [
    (b"http://localhost:8000", True),
    (b"http://127.0.0.1", True),
    (b"http://evil.example", False),
    (b"null", False),
    (b"", False),
]


@pytest.mark.parametrize(("origin", "welcome"), ORIGINS)
async def test_it_takes_a_session_only_from_our_own_pages(
    origin: bytes, welcome: bool, alice: User, conversation: Conversation, open_socket: OpenSocket
) -> None:
    cookie = await in_database(session_cookie, alice)
    headers = [(b"cookie", cookie)] + ([(b"origin", origin)] if origin else [])
    if welcome:
        socket = await open_socket(conversation.pk, "", headers)
        await socket.send("ping")
        await socket.until("pong")
    else:
        with pytest.raises(ConnectionRefusedError):
            await open_socket(conversation.pk, "", headers)


async def test_it_closes_the_socket_of_a_person_who_was_deactivated(
    alice: User,
    conversation: Conversation,
    alice_key: str,
    open_socket: OpenSocket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("conversations.doorkeeper.CHECK_SECONDS", 0.05)
    socket = await open_socket(conversation.pk, alice_key)
    await in_database(User.objects.filter(pk=alice.pk).update, is_active=False)
    assert await socket.closed_with() == 4401


@pytest.mark.parametrize("text", ["{", '{"type":"ping"}'])
async def test_an_answer_that_finds_the_client_gone_is_no_fault(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def send_to_nobody(message: dict[str, Any]) -> None:
        raise ConnectionResetError

    consumer = ConversationConsumer()
    consumer.base_send = send_to_nobody
    await consumer.websocket_receive({"text": text})
    assert caplog.records == []
