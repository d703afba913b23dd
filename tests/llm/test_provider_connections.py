"""When pieces arrive, what a cancellation closes, and what connections are shared."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from llm.errors import (
    ConnectionFailed,
)
from llm.messages import ChatRequest
from llm.providers.base import Provider, asks_environment
from llm.stream import TextDelta
from tests.fakes.http_server import Reset, Send, Stall, WaitFor
from tests.fakes.provider_server import ProviderServer, Reply
from tests.fakes.wire import Counts, OpenAIDialect
from tests.llm.making import (
    DIALECTS,
    HTTP_KINDS,
    KINDS,
    Make,
    Outcome,
    expected_text,
    make_request,
    run,
)


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


def test_a_session_looks_into_the_environment_only_where_there_is_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert not asks_environment()
    (tmp_path / ".netrc").touch()
    assert asks_environment()
    (tmp_path / ".netrc").unlink()
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:3128")
    assert asks_environment()
