"""Signing up, being signed out, and running into a budget, in a real browser."""

from __future__ import annotations

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from playwright.async_api import Browser, expect

from billing.budgets import set_budget
from tests.stories.browser.chat import Chat, in_both
from tests.stories.browser.conftest import Complaints
from tests.stories.site import Web

pytestmark = [pytest.mark.browser, pytest.mark.story]


@in_both
async def test_it_makes_an_account_by_hand_and_asks(
    browser: Browser, web: Web, complaints: Complaints
) -> None:
    page = await browser.new_page()
    complaints.watch(page)
    chat = Chat(page, f"http://{web.address}")
    await page.goto(f"{chat.base}/signup/")
    await page.fill("[name=username]", "dora")
    await page.fill("[name=password1]", "correct horse battery")
    await page.fill("[name=password2]", "correct horse battery")
    await page.click("button[type=submit]")
    await chat.ready()
    await chat.ask("Hello", "demo:20-10-5")
    await chat.until("completed")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("h1")).to_have_text("Sign in")
    await page.fill("[name=username]", "dora")
    await page.fill("[name=password]", "correct horse battery")
    await page.keyboard.press("Enter")
    await chat.ready()
    await expect(page.locator(".rail-item")).to_have_text(["Hello"])


async def test_it_says_that_one_is_signed_out_and_keeps_the_draft(chat: Chat) -> None:
    await chat.ask("First", "demo:20-10-5")
    await chat.until("completed")
    await chat.page.fill("#message", "a thought")
    await sync_to_async(Session.objects.all().delete)()
    await expect(chat.page.locator(".banner")).to_contain_text("signed out")
    await expect(chat.page.locator("#message")).to_have_value("a thought")


async def test_it_warns_of_a_budget_and_updates_the_meter(chat: Chat, alice: User) -> None:
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="tokens", limit_units=400, period="day"
    )
    await chat.reload()
    figure = chat.page.locator("[data-field=meter-figure]")
    await expect(figure).to_have_text("0 / 400 tokens today (0 %)")
    await chat.ask("Go on", "demo:20-310-1")
    await chat.page.get_by_role("button", name="Send anyway").click()
    await chat.until("completed")
    await expect(figure).to_contain_text("/ 400 tokens today (7")
    await expect(chat.page.locator(".meter")).to_have_attribute("data-level", "75")
    await expect(chat.page.locator(".meter .level-word").first).to_have_text("75 % used")
    await expect(chat.page.locator(".banner")).to_contain_text("% of your budget for today is used")


async def test_it_keeps_the_question_when_the_budget_is_used_up(chat: Chat, alice: User) -> None:
    await sync_to_async(set_budget)(
        scope="user", scope_id=alice.pk, unit="tokens", limit_units=1, period="day"
    )
    await chat.reload()
    await chat.ask("Why?", "demo:20-10-5")
    await expect(chat.page.locator("[data-field=offer]")).to_contain_text("Resets in")
    await expect(chat.page.locator(".thread .turn:visible")).to_have_count(0)
    await expect(chat.page.locator("#message")).to_have_value("Why?")
