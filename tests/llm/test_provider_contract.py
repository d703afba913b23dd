"""What every provider promises, over real sockets where it has any."""

from __future__ import annotations

import pytest

from llm.demo_script import thought_tokens
from llm.errors import (
    ContentBlocked,
    Truncated,
)
from llm.messages import Message
from llm.stream import Finish, UsageReport
from tests.fakes.provider_server import ProviderServer
from tests.llm.making import (
    API_KEY,
    HTTP_KINDS,
    KINDS,
    Make,
    expected_text,
    make_request,
    run,
)


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
