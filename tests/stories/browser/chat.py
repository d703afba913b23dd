"""What a person does on the chat page, for the browser stories."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.async_api import Locator, Page, expect

from conversations.models import Generation
from tests.contract import recording

WAIT_MS = 15_000
expect.set_options(timeout=WAIT_MS)
# In Chromium, and in Firefox where one is found. There Playwright sees no frames, ignores java_script_enabled
# without a word, and empties a number field instead of filling it.
in_both = pytest.mark.parametrize(
    "engine", ["chromium", pytest.param("firefox", marks=pytest.mark.in_firefox)], indirect=True
)


class Chat:
    def __init__(self, page: Page, base: str) -> None:
        self.page = page
        self.base = base
        self.frames: list[str] = []
        self.events: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("websocket", self._listen)

    def _listen(self, socket: Any) -> None:
        socket.on("framesent", lambda payload: self.frames.append(str(payload)))
        socket.on("framereceived", lambda payload: self.events.append(str(payload)))

    def check_contract(self) -> None:
        """Everything that went over the sockets is as the contract says, and the page sends nothing new."""
        frames = [orjson.loads(text) for text in self.frames]
        events = [orjson.loads(text) for text in self.events]
        assert recording.faults("frames", frames) == []
        assert recording.faults("events", events) == []
        unknown = recording.unknown("frames", frames)
        assert not unknown, f"frames of a new shape, to be kept with CHATSITE_RECORD_CONTRACT=1: {unknown}"
        if recording.RECORDS:
            recording.unknown("events", events)

    async def sign_in(self, user: User) -> None:
        """With a session made here: how one signs in by hand has a story of its own."""
        client = Client()
        await sync_to_async(client.force_login)(user)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        await self.page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": self.base}]
        )
        await self.page.goto(self.base)
        await self.ready()

    async def ready(self) -> None:
        await expect(self.page.locator("html[data-ready]")).to_be_attached()

    async def reload(self) -> None:
        await self.page.reload()
        await self.ready()

    async def use(self, model: str) -> None:
        """Choose a model that the picker does not list: the demo's names are a grammar, not a list."""
        await self.page.evaluate(
            "model => { document.querySelector('input[name=model]:checked').value = model }", model
        )

    async def ask(self, text: str, model: str = "demo:100-40-10") -> None:
        await self.use(model)
        await self.page.fill("#message", text)
        # On a touch screen Enter breaks the line.
        if await self.page.evaluate("() => matchMedia('(pointer: coarse)').matches"):
            # Also where it is known to be refused, and so looks disabled.
            await self.page.click(".send", force=True)
        else:
            await self.page.press("#message", "Enter")

    @property
    def answer(self) -> Locator:
        """The last answer."""
        return self.page.locator(".thread .answer").last

    @property
    def prose(self) -> Locator:
        return self.answer.locator(".prose")

    async def until(self, state: str) -> None:
        await expect(
            self.page.locator(f".thread .turn:last-child .answer[data-state={state}]")
        ).to_be_attached()

    async def text(self) -> str:
        return (await self.prose.text_content()) or ""


@sync_to_async
def stored_generation() -> Generation:
    return Generation.objects.latest("created_at")


def words(text: str) -> str:
    return " ".join(text.split())
