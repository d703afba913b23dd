from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from llm.errors import ConnectionFailed, ContentBlocked, ProviderError, ProviderOverloaded
from llm.messages import ChatRequest, Message
from llm.providers import openai_compatible, sse
from llm.providers.openai_compatible import DEFAULT_BASE_URL, OpenAICompatibleProvider
from llm.stream import Finish, TextDelta, ThoughtDelta
from tests.fakes.http_server import At, Reply, Send, Stall
from tests.fakes.provider_server import JSON_HEADERS, ProviderServer
from tests.fakes.wire import Counts, OpenAIDialect, data
from tests.llm.making import API_KEY, make_profile, make_request, run

WIRE = OpenAIDialect()


@pytest_asyncio.fixture
async def provider(server: ProviderServer) -> AsyncIterator[OpenAICompatibleProvider]:
    provider = OpenAICompatibleProvider(make_profile("openai_compatible", server.url), API_KEY)
    yield provider
    await provider.aclose()


async def test_it_sends_what_the_protocol_asks_for(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    await run(provider, make_request("1-2-1", "Grüße 🌍"))
    request = server.requests[0]
    assert request.target == "/chat/completions"
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.json == {
        "model": "1-2-1",
        "messages": [{"role": "user", "content": "Grüße 🌍"}],
        "max_tokens": 1000,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_it_names_the_cap_as_the_model_wants_it(server: ProviderServer) -> None:
    profile = make_profile(
        "openai_compatible", f"{server.url}/v1/", max_tokens_parameter="max_completion_tokens"
    )
    provider = OpenAICompatibleProvider(profile)
    await run(provider, make_request("1-2-1", max_output_tokens=77))
    await provider.aclose()
    request = server.requests[0]
    assert request.target == "/v1/chat/completions"
    assert request.json["max_completion_tokens"] == 77
    assert "max_tokens" not in request.json
    assert "authorization" not in request.headers


async def test_it_asks_for_little_thinking_only_of_a_model_that_thinks(server: ProviderServer) -> None:
    for thinking in (True, False):
        provider = OpenAICompatibleProvider(
            make_profile("openai_compatible", server.url, thinking=thinking), API_KEY
        )
        await run(provider, make_request("1-2-1", think_less=True))
        await run(provider, make_request("1-2-1"))
        await provider.aclose()
    assert [request.json.get("reasoning_effort") for request in server.requests] == ["low", None, None, None]


def test_it_speaks_to_openai_where_no_address_is_set() -> None:
    provider = OpenAICompatibleProvider(make_profile("openai_compatible"))
    assert provider.url == f"{DEFAULT_BASE_URL}/chat/completions"


async def test_it_closes_what_it_never_opened(provider: OpenAICompatibleProvider) -> None:
    await OpenAICompatibleProvider(make_profile("openai_compatible")).aclose()


async def test_it_joins_what_arrives_together(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    burst = (
        WIRE.thought("Hm")
        + WIRE.text("one ")
        + WIRE.text("two ")
        + WIRE.thought("So")
        + WIRE.text("three")
        + WIRE.end("stop", Counts(3, 5))
        + data({"choices": [{"delta": {"content": "after the end"}}]})
    )
    server.script(Reply([Send(burst)]))
    outcome = await run(provider, make_request("any"))
    assert outcome.events[:4] == [
        ThoughtDelta("Hm"),
        TextDelta("one two "),
        ThoughtDelta("So"),
        TextDelta("three"),
    ]
    assert outcome.events[-1] == Finish("stop")


async def test_it_keeps_the_text_that_arrives_together_with_an_error(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    error = data({"error": {"message": "busy", "code": "server_is_overloaded"}})
    server.script(Reply([Send(WIRE.text("one ") + WIRE.text("two") + error)]))
    outcome = await run(provider, make_request("any"))
    assert outcome.text == "one two"
    assert isinstance(outcome.error, ProviderOverloaded)


async def test_it_needs_neither_done_nor_a_last_blank_line(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    chunk = json.dumps({"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]})
    server.script(Reply([Send(f"data: {chunk}".encode())]))
    outcome = await run(provider, make_request("any"))
    assert (outcome.text, outcome.reasons) == ("Hi", ["stop"])
    server.script(Reply([Send(f"data: {chunk}\n\ndata: [DONE]".encode())]))
    assert (await run(provider, make_request("any"))).reasons == ["stop"]


async def test_it_uses_a_connection_again_whose_end_comes_late(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    late = Reply([Send(WIRE.text("Hi") + WIRE.end("stop", None)), At(0.01)])
    server.script(late, late)
    for _ in range(2):
        assert (await run(provider, make_request("any"))).reasons == ["stop"]
    assert server.connection_count == 1


async def test_it_does_not_wait_for_a_server_that_stays_after_done(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    server.script(Reply([Send(WIRE.text("Hi") + WIRE.end("stop", None)), Stall()]))
    async with asyncio.timeout(5):
        outcome = await run(provider, make_request("any"))
        await server.requests[0].closed.wait()
    assert (outcome.text, outcome.reasons) == ("Hi", ["stop"])


async def test_it_reads_a_whole_answer_from_a_server_that_would_not_stream(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    body = WIRE.whole("All at once", "", "stop", Counts(4, 3))
    server.script(Reply([Send(body[:10]), Send(body[10:])], headers=JSON_HEADERS))
    outcome = await run(provider, make_request("any"))
    assert (outcome.text, outcome.reasons) == ("All at once", ["stop"])
    assert outcome.usage is not None
    assert outcome.usage.total_tokens == 7


async def test_it_raises_the_error_of_a_whole_answer(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    body = b'{"error": {"message": "no", "code": "content_filter"}}'
    server.script(Reply([Send(body)], headers=JSON_HEADERS))
    assert isinstance((await run(provider, make_request("any"))).error, ContentBlocked)


async def test_it_bounds_what_it_keeps_in_memory(
    server: ProviderServer, provider: OpenAICompatibleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openai_compatible, "ANSWER_BODY_BYTES", 100)
    monkeypatch.setattr(
        openai_compatible, "EventStreamParser", lambda: sse.EventStreamParser(max_event_bytes=100)
    )
    server.script(
        Reply([Send(b"data: " + b"x" * 200), Stall()]), Reply([Send(b"x" * 200)], headers=JSON_HEADERS)
    )
    for _ in range(2):
        outcome = await run(provider, make_request("any"))
        assert type(outcome.error) is ProviderError


@pytest.mark.parametrize("status", [301, 307])
async def test_it_follows_no_redirect_with_the_key(
    status: int, server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    headers = {"Location": f"{server.url}/elsewhere", "Content-Type": "text/html"}
    server.script(Reply(status=status, headers=headers))
    assert type((await run(provider, make_request("any"))).error) is ProviderError
    assert len(server.requests) == 1


async def test_it_takes_the_hint_of_the_headers(
    server: ProviderServer, provider: OpenAICompatibleProvider
) -> None:
    server.script(Reply(status=429, headers={"Retry-After": "12", **JSON_HEADERS}))
    error = (await run(provider, make_request("any"))).error
    assert error is not None
    assert (error.code, error.retry_after_seconds) == ("rate_limited", 12.0)


async def test_it_tells_bytes_that_are_no_http(server: ProviderServer) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    provider = OpenAICompatibleProvider(make_profile("openai_compatible", f"http://127.0.0.1:{port}"))
    outcome = await run(provider, make_request("any"))
    assert isinstance(outcome.error, ConnectionFailed)
    await provider.aclose()
    listener.close()


@pytest.mark.parametrize("fields", [{"max_output_tokens": 0}, {"messages": ()}])
def test_it_makes_no_request_without_a_cap_or_a_message(fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "model": "m",
        "messages": (Message("user", "x"),),
        "max_output_tokens": 1,
    }
    with pytest.raises(ValueError, match="at least"):
        ChatRequest(**(good | fields))
