"""What every provider promises, over real sockets where it has any."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from llm.demo_script import numbered_tokens, thought_tokens
from llm.errors import (
    BadCredentials,
    BadRequest,
    ConnectionFailed,
    ContentBlocked,
    DailyQuota,
    LLMError,
    ModelGone,
    OutOfCredit,
    ProviderError,
    ProviderOverloaded,
    ProviderTimedOut,
    RateLimited,
    Truncated,
)
from llm.messages import ChatRequest, Message
from llm.providers.base import Provider
from llm.stream import Finish, TextDelta, UsageReport
from tests.fakes.http_server import Close, Reset, Send, Stall, WaitFor
from tests.fakes.provider_server import ProviderServer, Reply, numbered
from tests.fakes.wire import Counts, GeminiDialect, OpenAIDialect
from tests.llm.making import API_KEY, HTTP_KINDS, KINDS, Outcome, make_provider, make_request, run

Make = Callable[..., Provider]

DIALECTS: dict[str, GeminiDialect | OpenAIDialect] = {
    "gemini": GeminiDialect(),
    "openai_compatible": OpenAIDialect(),
}


@pytest_asyncio.fixture
async def make(server: ProviderServer) -> AsyncIterator[Make]:
    providers: list[Provider] = []

    def make(kind: str, base_url: str | None = None, **fields: Any) -> Provider:
        provider = make_provider(kind, server.url if base_url is None else base_url, **fields)
        providers.append(provider)
        return provider

    yield make
    for provider in providers:
        await provider.aclose()


def expected_text(kind: str, count: int) -> str:
    return "".join(numbered_tokens(count) if kind == "demo" else numbered(count))


@pytest.mark.parametrize("kind", KINDS)
async def test_it_streams_text_then_usage_then_one_finish(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-40-1"))
    assert outcome.error is None
    assert outcome.text == expected_text(kind, 40)
    assert outcome.reasons == ["stop"]
    assert isinstance(outcome.events[-1], Finish)
    assert isinstance(outcome.events[-2], UsageReport)
    usage = outcome.usage
    assert usage is not None
    assert usage.output_tokens == 40
    assert usage.input_tokens
    assert usage.consistent()


@pytest.mark.parametrize("kind", KINDS)
async def test_it_streams_thoughts_apart_from_the_answer(kind: str, make: Make) -> None:
    outcome = await run(make(kind, thinking=True), make_request("1-20-1!think@8"))
    assert outcome.thoughts == "".join(thought_tokens(8))
    assert outcome.text == expected_text(kind, 12)
    assert outcome.usage is not None
    assert (outcome.usage.output_tokens, outcome.usage.thinking_tokens) == (20, 8)
    assert outcome.usage.consistent()


@pytest.mark.parametrize("kind", KINDS)
async def test_it_reports_cached_tokens_as_part_of_the_input(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-3-1!cached", "one two three four five six"))
    assert outcome.usage is not None
    assert outcome.usage.input_tokens is not None
    assert outcome.usage.cached_tokens == outcome.usage.input_tokens // 2
    assert outcome.usage.consistent()


@pytest.mark.parametrize("kind", KINDS)
async def test_it_says_nothing_where_the_provider_says_nothing(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-3-1!nousage"))
    assert outcome.usage is None
    assert outcome.reasons == ["stop"]


@pytest.mark.parametrize("kind", KINDS)
async def test_it_never_gives_more_than_the_cap(kind: str, make: Make, server: ProviderServer) -> None:
    outcome = await run(make(kind), make_request("1-40-1", max_output_tokens=7))
    assert outcome.text == expected_text(kind, 7)
    assert outcome.reasons == ["length"]
    assert outcome.usage is not None
    assert outcome.usage.output_tokens == 7


@pytest.mark.parametrize(
    ("kind", "path"),
    [("gemini", ("generationConfig", "maxOutputTokens")), ("openai_compatible", ("max_tokens",))],
)
async def test_it_sends_the_cap(kind: str, path: tuple[str, ...], make: Make, server: ProviderServer) -> None:
    await run(make(kind), make_request("1-3-1", max_output_tokens=321))
    sent = server.requests[0].json
    for key in path:
        sent = sent[key]
    assert sent == 321


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["!cut", "!cut@5"])
async def test_it_tells_a_cut_answer(kind: str, suffix: str, make: Make) -> None:
    outcome = await run(make(kind), make_request(f"1-10-1{suffix}"))
    assert outcome.reasons == ["length"]
    assert outcome.text == expected_text(kind, 5 if "@" in suffix else 10)


@pytest.mark.parametrize("kind", KINDS)
async def test_it_tells_an_empty_answer(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-0-1"))
    assert (outcome.text, outcome.reasons) == ("", ["stop"])


@pytest.mark.parametrize("kind", KINDS)
async def test_it_tells_an_answer_declined_midway(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-10-1!block@4"))
    assert (outcome.text, outcome.reasons) == (expected_text(kind, 4), ["safety"])


@pytest.mark.parametrize("kind", KINDS)
async def test_it_tells_a_declined_question(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-10-1!block"))
    assert outcome.text == ""
    assert isinstance(outcome.error, ContentBlocked) or outcome.reasons == ["safety"]
    assert outcome.usage is not None
    assert outcome.usage.output_tokens == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_it_tells_a_stream_that_ends_without_a_reason(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-10-1!end@6"))
    assert outcome.text == expected_text(kind, 6)
    assert isinstance(outcome.error, Truncated)
    assert outcome.reasons == []


@pytest.mark.parametrize("kind", KINDS)
async def test_it_tells_a_lost_connection_and_keeps_what_came(kind: str, make: Make) -> None:
    outcome = await run(make(kind), make_request("1-10-5!die@6"))
    assert outcome.text == expected_text(kind, 6)
    assert isinstance(outcome.error, ConnectionFailed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("suffix", "error_class", "hint_seconds"),
    [
        ("400", BadRequest, None),
        ("401", BadCredentials, None),
        ("403", BadCredentials, None),
        ("404", ModelGone, None),
        ("408", ConnectionFailed, None),
        ("429", RateLimited, None),
        ("429@3", RateLimited, 3.0),
        ("429@2.5", RateLimited, 2.5),
        ("daily", DailyQuota, None),
        ("credit", OutOfCredit, None),
        ("500", ProviderError, None),
        ("502", ProviderError, None),
        ("503", ProviderOverloaded, None),
        ("503@7", ProviderOverloaded, 7.0),
        ("504", ProviderTimedOut, None),
        ("529", ProviderOverloaded, None),
    ],
)
async def test_it_names_each_refusal(
    kind: str, suffix: str, error_class: type[LLMError], hint_seconds: float | None, make: Make
) -> None:
    outcome = await run(make(kind), make_request(f"1-10-1!{suffix}"))
    assert outcome.events == []
    assert type(outcome.error) is error_class
    assert outcome.error is not None
    assert outcome.error.retry_after_seconds == hint_seconds


@pytest.mark.parametrize("kind", KINDS)
async def test_it_succeeds_once_the_fault_has_passed(kind: str, make: Make) -> None:
    provider = make(kind)
    codes = []
    for attempt in (1, 2, 3):
        outcome = await run(provider, make_request("1-3-1!429x2@1", attempt=attempt))
        codes.append(outcome.error.code if outcome.error else outcome.reasons[0])
    assert codes == ["rate_limited", "rate_limited", "stop"]


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_never_tries_twice(kind: str, make: Make, server: ProviderServer) -> None:
    for suffix in ("429@1", "500", "503"):
        await run(make(kind), make_request(f"1-3-1!{suffix}"))
    assert len(server.requests) == 3


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_tells_people_nothing_of_the_provider(kind: str, make: Make, server: ProviderServer) -> None:
    body = f'{{"error": {{"message": "Key {API_KEY} is wrong, says ACME", "code": 401}}}}'.encode()
    server.script(Reply([Send(body)], status=401, headers={"Content-Type": "application/json"}))
    error = (await run(make(kind), make_request("any"))).error
    assert isinstance(error, BadCredentials)
    assert "ACME" in error.provider_detail
    for words in (error.user_text, str(error), repr(error), error.provider_detail):
        assert API_KEY not in words
    for words in (error.user_text, str(error), repr(error)):
        assert "ACME" not in words


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", b"[]", b'{"error": "no"}', b"null"])
async def test_it_reads_error_bodies_of_any_form(
    kind: str, body: bytes, make: Make, server: ProviderServer
) -> None:
    server.script(Reply([Send(body)] if body else [], status=502, headers={"Content-Type": "text/html"}))
    outcome = await run(make(kind), make_request("any"))
    assert type(outcome.error) is ProviderError


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("step", [Reset(), Close()])
async def test_it_tells_a_connection_lost_before_the_answer(
    kind: str, step: Reset | Close, make: Make, server: ProviderServer
) -> None:
    server.script(Reply(before_headers=[step]))
    assert isinstance((await run(make(kind), make_request("any"))).error, ConnectionFailed)
    assert len(server.requests) == 1


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_tells_a_body_that_ends_too_early(kind: str, make: Make, server: ProviderServer) -> None:
    server.script(Reply([Send(DIALECTS[kind].text("Hello")), Close()]))
    outcome = await run(make(kind), make_request("any"))
    assert outcome.text == "Hello"
    assert isinstance(outcome.error, ConnectionFailed)


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_tells_a_refused_connection(kind: str, make: Make, server: ProviderServer) -> None:
    address = server.url
    await server.stop()
    assert isinstance((await run(make(kind, address), make_request("any"))).error, ConnectionFailed)


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_tells_a_name_that_does_not_resolve(kind: str, make: Make) -> None:
    outcome = await run(make(kind, "http://nowhere.invalid"), make_request("any"))
    assert isinstance(outcome.error, ConnectionFailed)


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_raises_an_error_that_comes_inside_the_stream(
    kind: str, make: Make, server: ProviderServer
) -> None:
    error = b'data: {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}\n\n'
    server.script(Reply([Send(DIALECTS[kind].text("Hel")), Send(error)]))
    outcome = await run(make(kind), make_request("any"))
    assert outcome.text == "Hel"
    assert isinstance(outcome.error, ProviderOverloaded)


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize(
    "garbage", [b"data: {nonsense\n\n", b"data: [1]\n\n", b'data: {"choices": [7], "candidates": [7]}\n\n']
)
async def test_it_tells_an_unreadable_chunk(
    kind: str, garbage: bytes, make: Make, server: ProviderServer
) -> None:
    server.script(Reply([Send(DIALECTS[kind].text("Hel")), Send(garbage)]))
    outcome = await run(make(kind), make_request("any"))
    assert outcome.text == "Hel"
    # Google's SDK passes over a chunk that is no object; then the stream has no end.
    assert type(outcome.error) in ((ProviderError, Truncated) if kind == "gemini" else (ProviderError,))


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_gives_each_piece_when_it_arrives(kind: str, make: Make, server: ProviderServer) -> None:
    dialect, gate = DIALECTS[kind], asyncio.Event()
    server.script(
        Reply(
            [
                Send(dialect.text("one ")),
                WaitFor(gate),
                Send(dialect.text("two")),
                Send(dialect.end("stop", Counts(1, 2))),
            ]
        )
    )
    texts = []
    async for event in make(kind).stream(make_request("any")):
        if isinstance(event, TextDelta):
            texts.append(event.text)
            gate.set()
    assert texts == ["one ", "two"]


async def test_it_keeps_what_arrived_before_the_connection_was_lost(
    make: Make, server: ProviderServer
) -> None:
    dialect, gate = OpenAIDialect(), asyncio.Event()
    server.script(Reply([Send(dialect.text("one ")), WaitFor(gate), Send(dialect.text("two")), Reset()]))
    stream = make("openai_compatible").stream(make_request("any"))
    assert await anext(stream) == TextDelta("one ")
    gate.set()
    async with asyncio.timeout(5):
        await server.requests[0].closed.wait()
    await asyncio.sleep(0.05)  # the reset reaches this side while nobody reads
    assert await anext(stream) == TextDelta("two")
    with pytest.raises(ConnectionFailed):
        await anext(stream)


async def cancel_midway(
    provider: Provider, request: ChatRequest, ready: Callable[[], Awaitable[Any]]
) -> Outcome:
    outcome = Outcome()

    async def iterate() -> None:
        async for event in provider.stream(request):
            outcome.events.append(event)

    task = asyncio.create_task(iterate())
    await ready()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return outcome


@pytest.mark.parametrize("kind", HTTP_KINDS)
@pytest.mark.parametrize("where", ["before the headers", "before the text", "midway"])
async def test_it_leaves_the_provider_when_cancelled(
    kind: str, where: str, make: Make, server: ProviderServer
) -> None:
    first = [] if where == "before the text" else [Send(DIALECTS[kind].text("Hello"))]
    reply = Reply([*first, Stall()]) if where != "before the headers" else Reply(before_headers=[Stall()])
    server.script(reply)

    async def ready() -> None:
        await server.wait_for_request()
        # Some turns of the loop, so that what the server sends has been read.
        await asyncio.sleep(0.05)

    outcome = await cancel_midway(make(kind), make_request("any"), ready)
    assert outcome.text == ("Hello" if where == "midway" else "")
    async with asyncio.timeout(0.5):
        await server.requests[0].closed.wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_it_stalls_only_until_it_is_cancelled(kind: str, make: Make, server: ProviderServer) -> None:
    arrived = asyncio.Event()
    provider, texts = make(kind), []

    async def iterate() -> None:
        async for event in provider.stream(make_request("1-10-1!stall@3")):
            assert isinstance(event, TextDelta)
            texts.append(event.text)
            if "".join(texts) == expected_text(kind, 3):
                arrived.set()

    task = asyncio.create_task(iterate())
    await arrived.wait()
    gc.collect()
    done, _ = await asyncio.wait({task}, timeout=0.1)
    assert not done
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_serves_many_streams_at_once_and_keeps_them_apart(
    kind: str, make: Make, server: ProviderServer
) -> None:
    provider = make(kind)
    outcomes = await asyncio.gather(
        *(run(provider, make_request(f"1-{10 + number}-1")) for number in range(30))
    )
    assert [outcome.text for outcome in outcomes] == [expected_text(kind, 10 + n) for n in range(30)]


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_uses_a_connection_again(kind: str, make: Make, server: ProviderServer) -> None:
    provider = make(kind)
    for _ in range(3):
        await run(provider, make_request("1-2-1"))
    assert server.connection_count == 1


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_answers_in_one_piece_where_the_model_cannot_stream(
    kind: str, make: Make, server: ProviderServer
) -> None:
    outcome = await run(make(kind, streams=False), make_request("1-12-0!think@4"))
    assert outcome.text == expected_text(kind, 8)
    assert outcome.thoughts == "".join(thought_tokens(4))
    assert outcome.reasons == ["stop"]
    assert outcome.usage is not None
    assert (outcome.usage.output_tokens, outcome.usage.thinking_tokens) == (12, 4)
    assert ":generateContent" in server.requests[0].path or "stream" not in server.requests[0].json


@pytest.mark.parametrize(("kind", "role"), [("gemini", "model"), ("openai_compatible", "assistant")])
async def test_it_sends_the_whole_conversation(
    kind: str, role: str, make: Make, server: ProviderServer
) -> None:
    messages = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "Why?"))
    request = make_request("1-2-1", messages=messages, system="Be brief.", temperature=0.3)
    await run(make(kind), request)
    sent = server.requests[0].json
    if kind == "gemini":
        contents = [(content["role"], content["parts"][0]["text"]) for content in sent["contents"]]
        system = sent["systemInstruction"]["parts"][0]["text"]
        temperature = sent["generationConfig"]["temperature"]
    else:
        contents = [(message["role"], message["content"]) for message in sent["messages"][1:]]
        system = sent["messages"][0]["content"]
        temperature = sent["temperature"]
    assert contents == [("user", "Hi"), (role, "Hello"), ("user", "Why?")]
    assert (system, temperature) == ("Be brief.", 0.3)


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_sends_no_temperature_to_a_model_that_takes_none(
    kind: str, make: Make, server: ProviderServer
) -> None:
    await run(make(kind, default_temperature=None), make_request("1-2-1", temperature=0.3))
    await run(make(kind), make_request("1-2-1"))
    for request in server.requests:
        assert "temperature" not in request.body.decode()


@pytest.mark.parametrize("kind", HTTP_KINDS)
async def test_it_sends_the_key_in_a_header_only(kind: str, make: Make, server: ProviderServer) -> None:
    await run(make(kind), make_request("1-2-1"))
    request = server.requests[0]
    assert any(API_KEY in value for value in request.headers.values())
    assert API_KEY not in request.target
    assert API_KEY not in request.body.decode()
