from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.fakes.provider_server import ProviderServer
from tests.llm.making import make_provider, make_request, run


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    arguments = getattr(request, "param", [])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.provider_server", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    assert process.wait(10) == 0


async def test_it_runs_as_a_process_of_its_own(address: str) -> None:
    provider = make_provider("openai_compatible", address)
    outcome = await run(provider, make_request("1-3-1"))
    assert outcome.text == "000001002"
    async with aiohttp.ClientSession() as session, session.get(f"{address}/requests") as response:
        report: list[dict[str, Any]] = await response.json()
    assert [(row["body"]["model"], row["finished"]) for row in report] == [("1-3-1", True)]
    await provider.aclose()


@pytest.mark.parametrize("address", [["--ignore-cap", "--extra-prompt-tokens", "100"]], indirect=True)
async def test_it_lies_when_told_to(address: str) -> None:
    provider = make_provider("openai_compatible", address)
    outcome = await run(provider, make_request("1-30-1", max_output_tokens=5))
    assert outcome.usage is not None
    assert outcome.usage.output_tokens == 30
    assert outcome.usage.input_tokens is not None
    assert outcome.usage.input_tokens > 100
    await provider.aclose()


async def test_it_fails_at_random_but_repeatably() -> None:
    async def codes(seed: int) -> list[str]:
        server = ProviderServer(fault_percent=50, seed=seed)
        await server.start()
        provider = make_provider("openai_compatible", server.url)
        outcomes = [await run(provider, make_request("0-1-0", f"question {number}")) for number in range(20)]
        await provider.aclose()
        await server.stop()
        return [outcome.error.code if outcome.error else "ok" for outcome in outcomes]

    first = await codes(1)
    assert first == await codes(1)
    assert first != await codes(2)
    assert {"ok", "rate_limited", "provider_overloaded"} == set(first)


async def test_it_counts_tokens_for_gemini() -> None:
    server = ProviderServer()
    await server.start()
    body = json.dumps({"contents": [{"parts": [{"text": "one two"}]}]})
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/v1beta/models/1-2-3:countTokens", data=body) as response,
    ):
        assert (await response.json())["totalTokens"] > 0
    await server.stop()
