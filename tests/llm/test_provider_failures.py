"""How every provider names what goes wrong, over real sockets."""

from __future__ import annotations

import pytest

from llm.errors import (
    BadCredentials,
    BadRequest,
    ConnectionFailed,
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
from tests.fakes.http_server import Close, Reset, Send
from tests.fakes.provider_server import ProviderServer, Reply
from tests.llm.making import (
    API_KEY,
    DIALECTS,
    HTTP_KINDS,
    KINDS,
    Make,
    expected_text,
    make_request,
    run,
)


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
