"""What each HTTP client costs for streams from a provider: CPU of this process per 1,000 chunks.

    python -m tests.bench.http_clients

The provider is a process of its own; N streams start spread over half a second. The rows
"bare" only count chunks, the others go through the providers of ``llm``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import django
import httpx2
import orjson
import uvloop

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

import aiohttp  # noqa: E402

from llm.providers.gemini import API_VERSION, GeminiProvider  # noqa: E402
from llm.providers.openai_compatible import OpenAICompatibleProvider  # noqa: E402
from llm.stream import TextDelta  # noqa: E402
from tests.llm.making import API_KEY, make_profile, make_request  # noqa: E402

Ask = Callable[[str], Coroutine[Any, Any, int]]
Close = Callable[[], Awaitable[None]]
TOKEN_CHARACTERS = 3


def _body(model: str) -> bytes:
    return orjson.dumps(
        {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9999}
    )


async def bare_aiohttp(url: str) -> tuple[Ask, Close]:
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def ask(model: str) -> int:
        count = 0
        async with session.post(f"{url}/chat/completions", data=_body(model)) as response:
            async for chunk in response.content.iter_any():
                count += chunk.count(b'"content": "')
        return count

    return ask, session.close


async def bare_httpx2(url: str) -> tuple[Ask, Close]:
    client = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None), timeout=None)

    async def ask(model: str) -> int:
        count = 0
        async with client.stream("POST", f"{url}/chat/completions", content=_body(model)) as response:
            async for chunk in response.aiter_bytes():
                count += chunk.count(b'"content": "')
        return count

    return ask, client.aclose


async def _through(provider: Any) -> tuple[Ask, Close]:
    async def ask(model: str) -> int:
        count = 0
        async for event in provider.stream(make_request(model, max_output_tokens=9999)):
            if type(event) is TextDelta:
                count += len(event.text) // TOKEN_CHARACTERS
        return count

    return ask, provider.aclose


async def openai_compatible(url: str) -> tuple[Ask, Close]:
    return await _through(OpenAICompatibleProvider(make_profile("openai_compatible", url), API_KEY))


async def gemini(url: str) -> tuple[Ask, Close]:
    return await _through(GeminiProvider(make_profile("gemini", url), API_KEY))


async def gemini_httpx2(url: str) -> tuple[Ask, Close]:
    from google import genai
    from google.genai import types

    client = httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None), timeout=None)
    provider = GeminiProvider(make_profile("gemini", url), API_KEY)
    options = types.HttpOptions(base_url=url, api_version=API_VERSION, httpx_async_client=client)
    provider._client = genai.Client(api_key=API_KEY, http_options=options)
    return (await _through(provider))[0], client.aclose


ROWS: list[tuple[str, Callable[[str], Awaitable[tuple[Ask, Close]]], int]] = [
    ("bare aiohttp", bare_aiohttp, 20),
    ("bare httpx2", bare_httpx2, 20),
    ("openai_compatible (aiohttp)", openai_compatible, 20),
    ("gemini, google-genai on aiohttp", gemini, 83),
    ("gemini, google-genai on httpx2", gemini_httpx2, 83),
]


async def measure(
    make: Callable[[str], Awaitable[tuple[Ask, Close]]], url: str, model: str, streams: int
) -> float:
    ask, close = await make(url)
    await ask("1-3-1")
    before = resource.getrusage(resource.RUSAGE_SELF)
    tasks: list[asyncio.Task[int]] = []
    for _ in range(streams):
        tasks.append(asyncio.create_task(ask(model)))
        await asyncio.sleep(0.5 / streams)
    chunks = sum(await asyncio.gather(*tasks))
    after = resource.getrusage(resource.RUSAGE_SELF)
    await close()
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu_seconds * 1_000_000 / chunks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a stream")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "tests.fakes.provider_server"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    started = time.monotonic()
    try:
        print(f"{'client':<34}{'chunks/s':>9}  CPU ms per 1,000 chunks (best, all rounds)")
        for name, make, interval_ms in ROWS:
            model = f"50-{int(arguments.seconds * 1000 / interval_ms)}-{interval_ms}"
            rounds = [
                uvloop.run(measure(make, url, model, arguments.streams)) for _ in range(arguments.rounds)
            ]
            listed = " ".join(f"{value:.0f}" for value in rounds)
            print(f"{name:<34}{arguments.streams * 1000 // interval_ms:>9}  {min(rounds):>5.0f}   ({listed})")
    finally:
        server.terminate()
        server.wait(10)
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
