"""Near a limit the provider's own count decides; elsewhere nobody asks for it. Over real HTTP."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from billing.budgets import set_budget
from billing.models import Hold
from conversations import turns
from conversations.database import in_database
from conversations.models import Conversation, Generation, Turn
from conversations.queueing import Order
from conversations.runtime import get_runtime
from llm import counts
from llm.counts import forget_counts
from llm.models import ModelProfile
from llm.profiles import clear_cache
from llm.providers.base import TokenCounter
from tests.conversations.conftest import OpenSocket, Socket
from tests.conversations.providers import KEY, add_models
from tests.conversations.rest import Rest
from tests.fakes.http_server import RecordedRequest, Reply, Send, Stall
from tests.fakes.provider_server import JSON_HEADERS, ProviderServer
from tests.fakes.wire import GeminiDialect
from tests.llm.making import make_provider, make_request

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("books_balance")]

WORDS = 1000
TEXT = "word " * (WORDS // 2) + "go " * (WORDS // 2)  # below the 4,000 characters of a message
OURS = 1008  # counted here; the server counts the words alone
UPPER = 1160  # 115 %
MODEL = "gemini:0-5-0"
STALL = Reply(before_headers=[Stall()])


@pytest.fixture(autouse=True)
def no_counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The first use of the SDK takes long on a busy machine.
    monkeypatch.setattr(counts, "TIMEOUT_SECONDS", 600.0)
    forget_counts()
    yield
    forget_counts()


@pytest_asyncio.fixture
async def server(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> AsyncIterator[ProviderServer]:
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    server = ProviderServer()
    await server.start()
    # The SDK takes seconds for its first call: longer than the socket is waited for on a busy machine.
    warm = make_provider("gemini", server.url)
    assert isinstance(warm, TokenCounter)
    await warm.count_tokens(make_request("0-5-0"))
    await warm.aclose()
    server.requests.clear()
    await in_database(add_models, server.url, "0-5-0", "0-5-0!500x1")
    yield server
    await server.stop()


@pytest_asyncio.fixture
async def socket(conversation: Conversation, alice_key: str, open_socket: OpenSocket) -> Socket:
    opened: Socket = await open_socket(conversation.pk, alice_key)
    return opened


async def limit(user: User, tokens: int) -> None:
    await in_database(
        set_budget, scope="user", scope_id=user.pk, unit="tokens", limit_units=tokens, period="day"
    )


async def change(model: str, **fields: Any) -> None:
    await in_database(lambda: ModelProfile.objects.filter(model_id=model).update(**fields))
    clear_cache()


async def ask(socket: Socket, text: str = TEXT, model: str = MODEL, **fields: Any) -> dict[str, Any]:
    """The end of the answer, or the refusal."""
    await socket.send("turn.create", turn_id=uuid.uuid4(), text=text, model=model, **fields)
    event = await socket.until("turn.accepted", "turn.refused")
    if event["type"] == "turn.refused":
        return event
    if "!" in model:
        waiting = await socket.until("generation.waiting")
        again = uuid.UUID(waiting["generation_id"])
        await in_database(Generation.objects.filter(pk=again).update, run_after=timezone.now())
        get_runtime().spawn(again)
    return await socket.until_end()


async def held() -> tuple[int, int]:
    hold = await in_database(Hold.objects.latest, "created_at")
    return hold.input_tokens, hold.output_cap_tokens


def counted(server: ProviderServer) -> int:
    return sum(request.path.endswith(":countTokens") for request in server.requests)


async def test_it_admits_what_the_estimate_alone_would_refuse(
    server: ProviderServer, socket: Socket, alice: User
) -> None:
    # The smallest useful answer has 256 tokens.
    await limit(alice, WORDS + 270)
    end = await ask(socket)
    assert end["type"] == "generation.completed"
    assert await held() == (WORDS, 270)
    assert end["receipt"]["input_tokens"] == WORDS
    assert [request.path.rpartition(":")[2] for request in server.requests] == [
        "countTokens",
        "streamGenerateContent",
    ]
    # What is learned from the answer compares with our count, not with the provider's.
    generation = await in_database(Generation.objects.get)
    assert generation.input_estimate_tokens == OURS


async def test_it_leaves_a_cut_answer_as_long_as_it_can_be(
    server: ProviderServer, rest: Rest, conversation: Conversation, alice: User
) -> None:
    await limit(alice, 3000)
    response = await rest.post(f"conversations/{conversation.pk}/messages/", {"text": TEXT, "model": MODEL})
    assert response.status_code == 200, response.content
    assert await held() == (WORDS, 3000 - WORDS)
    assert counted(server) == 1


@pytest.mark.parametrize(
    ("limit_tokens", "text", "model"),
    [
        (None, TEXT, MODEL),  # no budget at all
        (50_000, TEXT, MODEL),  # much is left
        (4000, "How are you?", MODEL),  # the answer is cut, but not for so short a question
        (1000, TEXT, MODEL),  # no count would help
        (WORDS + 270, TEXT, "openai:0-5-0"),  # nobody to ask
    ],
)
async def test_it_is_not_asked_otherwise(
    server: ProviderServer, socket: Socket, alice: User, limit_tokens: int | None, text: str, model: str
) -> None:
    await change(model, prompt_overhead_tokens=0)
    if limit_tokens is not None:
        await limit(alice, limit_tokens)
    end = await ask(socket, text, model)
    assert counted(server) == 0
    refused = limit_tokens is not None and limit_tokens < UPPER + 256 and text == TEXT
    assert end["type"] == ("turn.refused" if refused else "generation.completed")
    assert len(server.requests) == (0 if refused else 1)


async def test_nobody_asks_outside_of_a_send(
    server: ProviderServer, conversation: Conversation, alice: User
) -> None:
    await limit(alice, 3000)

    def start_and_undo() -> int:
        order = Order(TEXT, MODEL)
        with transaction.atomic():
            started = turns.start_turn(
                user_id=alice.pk, conversation_id=conversation.pk, turn_id=uuid.uuid4(), order=order
            )
            transaction.set_rollback(True)
        return int(started.estimate["input_tokens"])

    assert await in_database(start_and_undo) == UPPER
    assert server.requests == []


def failures() -> list[Reply]:
    dialect = GeminiDialect()
    errors = [dialect.error(word, None) for word in ("429", "500")]
    replies = [Reply([Send(body)], status=status, headers=headers) for status, headers, body in errors]
    return [*replies, Reply([Send(b"{}")], headers=JSON_HEADERS), STALL]


@pytest.mark.parametrize("reply", failures())
async def test_the_estimate_holds_where_the_provider_does_not_tell(
    server: ProviderServer, socket: Socket, alice: User, reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def choose(request: RecordedRequest) -> Reply:
        return reply if request.path.endswith(":countTokens") else await server.choose(request)

    server.handler = choose
    if reply is STALL:
        monkeypatch.setattr(counts, "TIMEOUT_SECONDS", 0.5)
    await limit(alice, 3000)
    end = await ask(socket)
    assert end["type"] == "generation.completed"
    assert await held() == (UPPER, 3000 - UPPER)
    # Nor is it asked at once again.
    await limit(alice, 2 * WORDS + 270)
    assert (await ask(socket, history=False))["type"] == "turn.refused"
    assert counted(server) == 1 or reply is STALL


async def test_the_same_prompt_is_asked_about_once(
    server: ProviderServer, socket: Socket, alice: User
) -> None:
    await limit(alice, 3000)
    for _ in range(2):
        assert (await ask(socket, history=False))["type"] == "generation.completed"
    assert await held() == (WORDS, 3000 - WORDS - 5 - WORDS)
    assert counted(server) == 1


async def test_a_retry_holds_what_was_counted(server: ProviderServer, socket: Socket, alice: User) -> None:
    await limit(alice, WORDS + 270)
    end = await ask(socket, model="gemini:0-5-0!500x1")
    assert end["type"] == "generation.completed"
    holds = await in_database(lambda: list(Hold.objects.values_list("input_tokens", flat=True)))
    assert holds == [WORDS, WORDS]


# --- The window -------------------------------------------------------------------


async def test_it_takes_a_question_that_fits_by_the_count_alone(
    server: ProviderServer, socket: Socket
) -> None:
    model = "gemini:0-5-0!500x1"  # and so does its retry
    await change(model, context_window_tokens=WORDS + 120)
    end = await ask(socket, model=model, max_output_tokens=100)
    assert end["type"] == "generation.completed"
    assert await held() == (WORDS, 100)
    assert counted(server) == 1


@pytest.mark.parametrize(("window", "asked"), [(WORDS + 90, 1), (WORDS // 2, 0)])
async def test_it_refuses_what_does_not_fit_by_the_count(
    server: ProviderServer, socket: Socket, window: int, asked: int
) -> None:
    await change(MODEL, context_window_tokens=window)
    end = await ask(socket, max_output_tokens=100)
    assert (end["type"], end["code"]) == ("turn.refused", "context_too_long")
    assert counted(server) == asked


@pytest.mark.parametrize(("history", "asked"), [(1000, 1), (2000, 0)])
async def test_it_sends_the_history_that_fits_by_the_count(
    server: ProviderServer, socket: Socket, conversation: Conversation, history: int, asked: int
) -> None:
    """Three quarters of 1,500 tokens are for the context: by the estimate too few for the older question."""

    def talked() -> None:
        turn = Turn.objects.create(
            conversation=conversation, turn_id=uuid.uuid4(), text="word " * history, depth=0
        )
        turn.chosen = Generation.objects.create(
            conversation=conversation, turn=turn, model=MODEL, state="completed", wanted_output_tokens=9
        )
        turn.save()
        Conversation.objects.filter(pk=conversation.pk).update(head_turn=turn)

    await in_database(talked)
    await change(MODEL, context_window_tokens=1500)
    end = await ask(socket, "And then?", max_output_tokens=100)
    assert end["type"] == "generation.completed"
    assert counted(server) == asked
    sent = server.requests[-1].json["contents"]
    assert len(sent) == (2 if asked else 1)
    assert (await held())[0] == (history + 2 if asked else 12)
