"""Short ways to make requests and providers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llm.demo_script import numbered_tokens
from llm.errors import LLMError
from llm.messages import ChatRequest, Message
from llm.profiles import Profile, ProviderConfig
from llm.providers.base import Provider, ProviderFactory
from llm.providers.demo import DemoProvider
from llm.providers.gemini import GeminiProvider
from llm.providers.openai_compatible import OpenAICompatibleProvider
from llm.stream import Finish, StreamEvent, TextDelta, ThoughtDelta, UsageReport
from llm.usage import Usage
from tests.fakes.provider_server import numbered
from tests.fakes.wire import GeminiDialect, OpenAIDialect

API_KEY = "secret-key-0123456789"
CLASSES: dict[str, ProviderFactory] = {
    "demo": DemoProvider,
    "gemini": GeminiProvider,
    "openai_compatible": OpenAICompatibleProvider,
}
KINDS = tuple(CLASSES)
HTTP_KINDS = ("gemini", "openai_compatible")
Make = Callable[..., Provider]
DIALECTS: dict[str, GeminiDialect | OpenAIDialect] = {
    "gemini": GeminiDialect(),
    "openai_compatible": OpenAIDialect(),
}


def make_request(model: str, text: str = "Why is the sky blue?", **fields: Any) -> ChatRequest:
    fields.setdefault("max_output_tokens", 1000)
    fields.setdefault("messages", (Message("user", text),))
    return ChatRequest(model=model, **fields)


def make_profile(kind: str, base_url: str = "", **fields: Any) -> Profile:
    return Profile(
        model_id=f"{kind}:scripted",
        name="scripted",
        label="Scripted",
        provider=ProviderConfig(kind, kind, base_url, ""),
        context_window_tokens=128_000,
        max_output_tokens=32_000,
        **fields,
    )


def make_provider(kind: str, base_url: str = "", **fields: Any) -> Provider:
    return CLASSES[kind](make_profile(kind, base_url, **fields), API_KEY)


class Outcome:
    """All that a stream gave, and the error that ended it."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        self.error: LLMError | None = None

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, TextDelta))

    @property
    def thoughts(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, ThoughtDelta))

    @property
    def usage(self) -> Usage | None:
        usage = None
        for event in self.events:
            if isinstance(event, UsageReport):
                usage = event.usage if usage is None else usage.merge(event.usage)
        return usage

    @property
    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, Finish)]


async def run(provider: Provider, request: ChatRequest) -> Outcome:
    outcome = Outcome()
    try:
        async for event in provider.stream(request):
            outcome.events.append(event)
    except LLMError as error:
        outcome.error = error
    return outcome


def expected_text(kind: str, count: int) -> str:
    return "".join(numbered_tokens(count) if kind == "demo" else numbered(count))
