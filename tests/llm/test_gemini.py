from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from google.genai.types import HttpRetryOptions

from llm.errors import ContentBlocked, LLMError, ProviderError
from llm.providers.gemini import GeminiProvider
from llm.stream import Finish, ToolCall
from tests.fakes.http_server import Reply, Send, Stall
from tests.fakes.provider_server import ProviderServer
from tests.llm.making import API_KEY, make_profile, make_request, run


@pytest_asyncio.fixture
async def provider(server: ProviderServer) -> AsyncIterator[GeminiProvider]:
    provider = GeminiProvider(make_profile("gemini", server.url, thinking=True), API_KEY)
    yield provider
    await provider.aclose()


def sse(*chunks: Any) -> bytes:
    return b"".join(f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\n".encode() for chunk in chunks)


async def play(server: ProviderServer, provider: GeminiProvider, *chunks: Any) -> Any:
    server.script(Reply([Send(sse(*chunks))]))
    return await run(provider, make_request("any"))


async def test_it_speaks_through_the_client_it_was_given(
    server: ProviderServer, provider: GeminiProvider
) -> None:
    await run(provider, make_request("1-2-1"))
    request = server.requests[0]
    assert request.target == "/v1beta/models/1-2-1:streamGenerateContent?alt=sse"
    assert request.headers["x-goog-api-key"] == API_KEY
    assert "google-genai-sdk/" in request.headers["user-agent"]
    assert provider._client is not None
    api_client = provider._client._api_client
    assert api_client._http_options.aiohttp_client is provider._session
    assert isinstance(provider._session, aiohttp.ClientSession)
    # Asking for one attempt also switches off the hidden second one of failed connections.
    assert api_client._http_options.retry_options == HttpRetryOptions(attempts=1)
    assert api_client._http_options.timeout is None


async def test_it_asks_for_thoughts_only_where_the_model_thinks(
    server: ProviderServer, provider: GeminiProvider
) -> None:
    plain = GeminiProvider(make_profile("gemini", server.url), API_KEY)
    await run(provider, make_request("1-2-1"))
    await run(plain, make_request("1-2-1"))
    await plain.aclose()
    thinking, other = (request.json["generationConfig"] for request in server.requests)
    assert thinking["thinkingConfig"] == {"include_thoughts": True}
    assert "thinkingConfig" not in other


@pytest.mark.parametrize(
    ("model", "little"),
    [("gemini-2.5-pro", {"thinking_budget": 512}), ("gemini-3-flash-preview", {"thinking_level": "LOW"})],
)
async def test_it_asks_for_little_thinking_in_the_models_own_way(
    model: str, little: dict[str, Any], server: ProviderServer, provider: GeminiProvider
) -> None:
    await run(provider, make_request(model, think_less=True))
    thinking = server.requests[0].json["generationConfig"]["thinkingConfig"]
    assert thinking == {"include_thoughts": True, **little}


async def test_it_offers_no_tools_and_logs_nothing(
    server: ProviderServer, provider: GeminiProvider, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await run(provider, make_request("1-2-1"))
    assert not [record for record in caplog.records if record.name.startswith(("google", "httpx"))]
    assert "tools" not in server.requests[0].json


async def test_it_gives_up_connecting_in_time(
    server: ProviderServer, provider: GeminiProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run(provider, make_request("1-2-1"))
    seen = []

    async def connect(self: Any, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:  # noqa: ASYNC109
        seen.append((timeout.connect, timeout.total, timeout.sock_read))
        raise aiohttp.ConnectionTimeoutError

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
    outcome = await run(provider, make_request("1-2-1"))
    assert outcome.error is not None
    assert outcome.error.code == "connection_failed"
    assert seen == [(10.0, None, None)]


def test_it_is_imported_only_when_it_is_spoken_to() -> None:
    code = (
        "import django, sys; django.setup(); import llm.providers.gemini;"
        "assert not any(name.startswith('google.genai') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_it_takes_the_last_usage_that_is_not_null(
    server: ProviderServer, provider: GeminiProvider
) -> None:
    outcome = await play(
        server,
        provider,
        {"usageMetadata": {"promptTokenCount": 15, "cachedContentTokenCount": 8, "totalTokenCount": 15}},
        {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]},
        {
            "candidates": [{"content": {"parts": []}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 13, "candidatesTokenCount": 2, "totalTokenCount": 15},
        },
    )
    usage = outcome.usage
    assert (usage.input_tokens, usage.cached_tokens, usage.output_tokens) == (13, 8, 2)
    assert (outcome.text, outcome.reasons) == ("Hi", ["stop"])


async def test_it_tells_that_thinking_ate_the_budget(
    server: ProviderServer, provider: GeminiProvider
) -> None:
    outcome = await play(
        server,
        provider,
        {
            "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}],
            "usageMetadata": {"promptTokenCount": 20, "thoughtsTokenCount": 253, "totalTokenCount": 273},
        },
    )
    assert (outcome.text, outcome.reasons) == ("", ["length"])
    assert (outcome.usage.output_tokens, outcome.usage.thinking_tokens) == (253, 253)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("SAFETY", "safety"),
        ("RECITATION", "safety"),
        ("PROHIBITED_CONTENT", "safety"),
        ("LANGUAGE", "other"),
        ("MALFORMED_FUNCTION_CALL", "other"),
    ],
)
async def test_it_names_reasons(
    reason: str, expected: str, server: ProviderServer, provider: GeminiProvider
) -> None:
    outcome = await play(server, provider, {"candidates": [{"finishReason": reason}]})
    assert outcome.reasons == [expected]


@pytest.mark.filterwarnings("ignore:BRAND_NEW_REASON")
async def test_it_survives_a_reason_it_does_not_know(
    server: ProviderServer, provider: GeminiProvider
) -> None:
    outcome = await play(server, provider, {"candidates": [{"finishReason": "BRAND_NEW_REASON"}]})
    assert outcome.reasons == ["other"]


async def test_it_passes_tool_calls_on(server: ProviderServer, provider: GeminiProvider) -> None:
    call = {"functionCall": {"name": "weather", "args": {"city": "Köln"}}}
    outcome = await play(
        server, provider, {"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]}
    )
    assert outcome.events == [
        ToolCall("call_1", "weather", json.dumps({"city": "Köln"})),
        Finish("tool_calls"),
    ]


@pytest.mark.parametrize("name", ["gemini_200_prompt_blocked", "gemini_200_safety_candidate"])
async def test_it_reads_recorded_refusals(
    name: str, corpora: Path, server: ProviderServer, provider: GeminiProvider
) -> None:
    recorded = json.loads((corpora / "wire" / "errors" / f"{name}.json").read_text(encoding="utf-8"))
    outcome = await play(server, provider, recorded["body"])
    if name.endswith("blocked"):
        assert isinstance(outcome.error, ContentBlocked)
    else:
        assert outcome.reasons == ["safety"]
    assert outcome.usage.total_tokens == recorded["body"]["usageMetadata"]["totalTokenCount"]


async def test_it_turns_what_the_sdk_should_not_raise_into_its_own(
    provider: GeminiProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Any, request: Any) -> Any:
        raise RuntimeError("odd")

    monkeypatch.setattr(GeminiProvider, "_arguments", broken)
    outcome = await run(provider, make_request("any"))
    assert type(outcome.error) is ProviderError
    assert "unexpected error" in caplog.text


RECORDINGS = [
    "google-text",
    "google-reasoning",
    "google-reasoning-gemini3",
    "google-tool-call",
    "google-tool-call-gemini3",
]


@pytest.mark.parametrize("name", RECORDINGS)
async def test_it_reads_recordings_wherever_they_are_split(
    name: str, corpora: Path, server: ProviderServer, provider: GeminiProvider
) -> None:
    path = corpora / "wire" / "vercel_ai" / "google" / f"{name}.chunks.txt"
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    stream = "".join(f"data: {line}\r\n\r\n" for line in lines).encode()
    raw_usage = json.loads(lines[-1])["usageMetadata"]
    texts = [
        part.get("text", "")
        for line in lines
        for part in json.loads(line)["candidates"][0]["content"].get("parts", [])
        if not part.get("thought")
    ]
    splits = [[stream], [stream[i : i + 1] for i in range(len(stream))]]
    splits += [[stream[:cut], stream[cut:]] for cut in range(1, len(stream), max(1, len(stream) // 25))]
    outcomes = []
    for pieces in splits:
        server.script(Reply([Send(piece) for piece in pieces]))
        outcomes.append(await run(provider, make_request("any")))
    for outcome in outcomes:
        assert outcome.text == "".join(texts)
        assert outcome.reasons == (["tool_calls"] if "tool" in name else ["stop"])
        assert outcome.usage is not None
        assert outcome.usage.total_tokens == raw_usage["totalTokenCount"]
        assert outcome.usage.consistent()
        assert [e for e in outcome.events if isinstance(e, ToolCall)] == [
            e for e in outcomes[0].events if isinstance(e, ToolCall)
        ]


async def test_it_reads_the_recorded_replays(
    corpora: Path, server: ProviderServer, provider: GeminiProvider
) -> None:
    replays = 0
    for path in sorted((corpora / "wire" / "gemini_cli").glob("*.responses")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith('{"method":"generateContentStream"'):
                continue
            chunks = json.loads(line)["response"]
            candidates = [chunk["candidates"][0] for chunk in chunks if chunk.get("candidates")]
            parts = [part for c in candidates for part in (c.get("content") or {}).get("parts") or []]
            expected = "".join(part.get("text", "") for part in parts if not part.get("thought"))
            outcome = await play(server, provider, *chunks)
            assert outcome.text == expected
            assert outcome.error is None or isinstance(outcome.error, LLMError)
            assert len(outcome.reasons) == (0 if outcome.error else 1)
            replays += 1
    assert replays > 20


async def test_it_works_in_one_loop_after_another() -> None:
    async def once() -> str:
        server = ProviderServer()
        await server.start()
        provider = GeminiProvider(make_profile("gemini", server.url), API_KEY)
        outcome = await run(provider, make_request("1-3-1"))
        await provider.aclose()
        await server.stop()
        return outcome.text

    texts = await asyncio.gather(*(asyncio.to_thread(asyncio.run, once()) for _ in range(3)))
    assert texts == ["000001002"] * 3


async def test_it_closes_the_connection_at_once_even_midway(
    server: ProviderServer, provider: GeminiProvider
) -> None:
    chunk = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}}]}
    server.script(Reply([Send(sse(chunk)), Stall()]))
    stream = provider.stream(make_request("any"))
    await anext(stream)
    task = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(0.5):
        await server.requests[0].closed.wait()
