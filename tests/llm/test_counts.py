"""The provider's own count of an input, over real HTTP: what it is, and what happens without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from llm import counts
from llm.counts import ask_count, can_count, forget_counts
from llm.errors import LLMError, ProviderError, RateLimited
from llm.messages import Message
from llm.profiles import Profile, ProviderConfig
from llm.providers.base import TokenCounter
from llm.registry import aclose_all
from tests.fakes.http_server import Reply, Reset, Send, Stall
from tests.fakes.provider_server import JSON_HEADERS, ProviderServer
from tests.fakes.wire import GeminiDialect
from tests.llm.making import API_KEY, Make, make_request, run

TALK = (Message("user", "one two three"), Message("assistant", "four five"), Message("user", "six"))


@pytest.fixture(autouse=True)
def no_counts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The first use of the SDK takes long on a busy machine.
    monkeypatch.setattr(counts, "TIMEOUT_SECONDS", 600.0)
    forget_counts()
    yield
    forget_counts()


@pytest.fixture
def profile(server: ProviderServer, monkeypatch: pytest.MonkeyPatch) -> Profile:
    monkeypatch.setenv("SCRIPTED_API_KEY", API_KEY)
    return profile_of("gemini", server)


def profile_of(kind: str, server: ProviderServer) -> Profile:
    return Profile(
        model_id=f"{kind}:0-3-0",
        name="0-3-0",
        label="Scripted",
        provider=ProviderConfig(kind, kind, server.url, "SCRIPTED_API_KEY"),
        context_window_tokens=128_000,
        max_output_tokens=32_000,
    )


@pytest_asyncio.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    await aclose_all()


def refusal(word: str) -> Reply:
    status, headers, body = GeminiDialect().error(word, None)
    return Reply([Send(body)], status=status, headers=headers)


@pytest.mark.parametrize("system", ["", "Be very brief."])
async def test_it_counts_what_the_call_is_charged_for(
    make: Make, server: ProviderServer, system: str
) -> None:
    provider = make("gemini")
    assert isinstance(provider, TokenCounter)
    request = make_request("0-3-0", messages=TALK, system=system)
    counted = await provider.count_tokens(request)
    outcome = await run(provider, request)
    assert outcome.usage is not None
    assert counted == outcome.usage.input_tokens == 6 + len(system.split())
    asked, called = server.requests
    assert asked.path == "/v1beta/models/0-3-0:countTokens"
    assert asked.headers["x-goog-api-key"] == API_KEY
    assert asked.json["contents"][-3:] == called.json["contents"]
    assert set(asked.json) == {"contents"}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal("429"), RateLimited),
        (refusal("500"), LLMError),
        (Reply([Send(b"{}")], headers=JSON_HEADERS), ProviderError),
        (Reply([Send(b"no JSON")], headers=JSON_HEADERS), ProviderError),
        (Reply(before_headers=[Reset()]), LLMError),
    ],
)
async def test_it_says_where_it_could_not_count(
    make: Make, server: ProviderServer, reply: Reply, error: type[LLMError]
) -> None:
    provider = make("gemini")
    assert isinstance(provider, TokenCounter)
    server.script(reply)
    with pytest.raises(error):
        await provider.count_tokens(make_request("0-3-0"))


@pytest.mark.parametrize("kind", ["openai_compatible", "demo"])
async def test_others_do_not_count(make: Make, server: ProviderServer, kind: str) -> None:
    assert not isinstance(make(kind), TokenCounter)
    profile = profile_of(kind, server)
    assert not can_count(profile)
    assert await ask_count(profile, make_request("0-3-0")) is None
    assert server.requests == []


async def test_each_prompt_is_asked_about_once(profile: Profile, server: ProviderServer) -> None:
    request = make_request("0-3-0", messages=TALK)
    assert [await ask_count(profile, request) for _ in range(3)] == [6, 6, 6]
    assert len(server.requests) == 1
    # How long or how warm the answer is to be does not matter; every word does.
    assert await ask_count(profile, make_request("0-3-0", messages=TALK, max_output_tokens=7)) == 6
    assert len(server.requests) == 1
    assert await ask_count(profile, make_request("0-3-0", messages=TALK, system="Be brief.")) == 8
    assert await ask_count(profile, make_request("0-3-0", messages=TALK[2:])) == 1
    assert len(server.requests) == 3


async def test_it_remembers_so_many(
    profile: Profile, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "REMEMBERED_COUNTS", 2)
    for text in ("a", "b", "c", "c", "b", "a"):
        assert await ask_count(profile, make_request("0-3-0", text)) == 1
    assert len(server.requests) == 4


async def test_it_waits_only_so_long_and_then_asks_no_more_for_a_while(
    profile: Profile, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await ask_count(profile, make_request("0-3-0", "opens the client")) == 3
    monkeypatch.setattr(counts, "TIMEOUT_SECONDS", 0.05)
    server.script(Reply(before_headers=[Stall()]))
    assert await ask_count(profile, make_request("0-3-0", "slow")) is None
    await server.requests[1].closed.wait()
    assert not can_count(profile)
    assert await ask_count(profile, make_request("0-3-0", "slow")) is None
    assert len(server.requests) == 2
    # What it has told before is still known.
    assert await ask_count(profile, make_request("0-3-0", "opens the client")) == 3
    monkeypatch.setattr(counts, "PAUSE_SECONDS", 0.0)
    forget_counts()
    server.script(refusal("500"))
    monkeypatch.setattr(counts, "TIMEOUT_SECONDS", 10.0)
    assert await ask_count(profile, make_request("0-3-0", "slow")) is None
    assert await ask_count(profile, make_request("0-3-0", "slow")) == 1


async def test_a_missing_key_is_no_error(
    profile: Profile, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRIPTED_API_KEY", "")
    unusable = Profile(**{name: getattr(profile, name) for name in profile.__slots__} | {"usable": False})
    assert await ask_count(unusable, make_request("0-3-0")) is None
