"""The usage pages: figures that lead to their entries, budgets, own limits, requests."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from billing import entries
from billing.accounts import set_timezone
from billing.budgets import set_budget
from billing.models import Account, LedgerEntry, LimitRequest
from billing.own_limits import own_limits, set_own_limit
from conversations.models import Conversation
from tests.usage.making import call, unlimited

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client, alice: User) -> Client:
    """Alice's browser."""
    client.force_login(alice)
    return client


@pytest.fixture
def chat(alice: User) -> Conversation:
    return Conversation.objects.create(owner=alice, title="Tides")


def text(page: Client, address: str = "/usage/") -> str:
    response = page.get(address)
    assert response.status_code == 200
    return re.sub(r"\s+", " ", response.content.decode())


def test_it_greets_a_person_with_nothing(page: Client) -> None:
    shown = text(page)
    assert "Nothing was used in these days." in shown
    assert "What you ask will be listed here" in shown
    assert text(page, "/usage/entries/").count("No entries in these days.") == 1


def test_it_shows_what_was_used_and_where_it_went(page: Client, alice: User, chat: Conversation) -> None:
    call(alice, conversation_id=chat.pk, kind="code", tokens=(1000, 500))
    call(alice, conversation_id=chat.pk, kind="explanation", tokens=(200, 100))
    shown = text(page)
    assert shown.count('1,800 <span class="unit">tokens</span>') == 5  # three tiles, the average, the range
    assert "Most went to Code: 83 %." in shown
    assert "Most went to Tides: 100 %." in shown
    assert "48,200 tokens left" in shown
    assert f'href="/c/{chat.pk}/">Tides' in shown


def test_it_says_what_a_sum_of_money_leaves_out(page: Client, alice: User, chat: Conversation) -> None:
    call(alice, conversation_id=chat.pk, tokens=(3000, 1000))
    call(alice, conversation_id=chat.pk, model="nowhere:unpriced")
    assert re.search(r"\$0\.\d+ \+ 1 unpriced", text(page))


def test_it_knows_no_cost_where_nothing_had_a_price(page: Client, alice: User, chat: Conversation) -> None:
    call(alice, conversation_id=chat.pk, model="nowhere:unpriced")
    shown = text(page)
    assert shown.count('<p class="tile-cost">price unknown</p>') == 4  # three tiles and the average


def test_it_names_each_budget_by_its_period(page: Client, alice: User, chat: Conversation) -> None:
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=9_000, period="week")
    call(alice, conversation_id=chat.pk)
    shown = text(page)
    assert "<h3>Your budget today</h3>" in shown
    assert "<h3>Your budget this week</h3>" in shown
    set_budget(scope="everyone", unit="tokens", limit_units=9_000, period="month")
    assert "Nothing of it is used yet." in text(page)


def test_it_keeps_what_the_house_bears_apart(page: Client, alice: User, chat: Conversation) -> None:
    call(alice, conversation_id=chat.pk, tokens=(300, 200), bearer="house")
    shown = text(page)
    assert "500 tokens more were not charged." in shown
    assert "50,000 tokens left" in shown


def test_it_leads_from_a_figure_to_its_entries(page: Client, alice: User, chat: Conversation) -> None:
    entry = call(alice, conversation_id=chat.pk, kind="code")
    other = call(alice, conversation_id=uuid.uuid4(), kind="other")
    links = re.findall(r'href="(/usage/entries/\?[^"]*kind=code)"', text(page))
    listed = text(page, links[0].replace("&amp;", "&"))
    assert f"/usage/entries/{entry.pk}/" in listed
    assert f"/usage/entries/{other.pk}/" not in listed
    assert "Kind: Code ×" in listed
    receipt = text(page, f"/usage/entries/{entry.pk}/")
    assert "150" in receipt
    assert str(entry.pk) in receipt


def test_it_shows_corrections_as_entries(page: Client, alice: User, chat: Conversation) -> None:
    entry = call(alice, conversation_id=chat.pk)
    entries.refund(entry.pk, reason="wrong answer")
    assert "refund" in text(page, "/usage/entries/")
    receipt = text(page, f"/usage/entries/{entry.pk}/")
    assert "Other entries of this call" in receipt
    assert "−$0.0001" in receipt or "−&lt;$0.0001" in receipt  # and not as if next to nothing had been paid


def test_it_shows_nobody_the_entries_of_others(page: Client, charlie: User, bob: User) -> None:
    for person in (charlie, bob):
        entry = call(person, conversation_id=uuid.uuid4())
        assert page.get(f"/usage/entries/{entry.pk}/").status_code == 404
    assert "No entries in these days." in text(page, "/usage/entries/")
    assert "Nothing was used in these days." in text(page)


def test_it_takes_any_query_as_it_can(page: Client) -> None:
    for query in (
        "from=never",
        "range=x",
        "after=nonsense",
        "conversation=no",
        "kind=%00",
        "measure=x&range=365",
    ):
        assert page.get(f"/usage/?{query}").status_code == 200
        assert page.get(f"/usage/entries/?{query}").status_code == 200


def test_it_pages_through_entries_by_key(page: Client, alice: User, chat: Conversation) -> None:
    unlimited(alice)
    made = {str(call(alice, conversation_id=chat.pk).pk) for _ in range(60)}
    seen: set[str] = set()
    address = "/usage/entries/"
    for count in (50, 10):
        shown = text(page, address)
        found = set(re.findall(r"/usage/entries/([0-9a-f-]{36})/", shown))
        assert len(found) == count
        seen |= found
        following = re.findall(r'href="(\?[^"]*after=[^"]*)"', shown)
        address = "/usage/entries/" + (following[0].replace("&amp;", "&") if following else "")
    assert seen == made


def test_it_shows_times_where_the_person_lives(page: Client, alice: User, chat: Conversation) -> None:
    set_timezone(user_id=alice.pk, timezone_name="Asia/Tokyo")
    late = datetime.now(UTC).replace(hour=20, minute=30) - timedelta(days=2)
    call(alice, conversation_id=chat.pk, now=late)
    there = late + timedelta(hours=9)
    shown = text(page, "/usage/entries/")
    assert f"{there.day} {there:%b %Y}, 05:30" in shown
    assert LedgerEntry.objects.get().local_day == there.date()


def test_it_asks_everybody_to_sign_in(client: Client) -> None:
    entry = uuid.uuid4()
    for address in ("/usage/", "/usage/entries/", f"/usage/entries/{entry}/"):
        assert client.get(address)["Location"].startswith("/login/")
    for address in ("/usage/limits/", "/usage/budgets/1/ask/", "/usage/zone/"):
        assert client.post(address)["Location"].startswith("/login/")


@pytest.mark.parametrize("address", ["/usage/limits/", "/usage/requests/1/withdraw/", "/usage/zone/"])
def test_it_changes_nothing_by_get(page: Client, address: str) -> None:
    assert page.get(address).status_code == 405


def test_it_sets_and_removes_a_limit_of_ones_own(page: Client, alice: User) -> None:
    said = page.post("/usage/limits/", {"unit": "tokens", "period": "day", "limit": "20,000"}, follow=True)
    assert "Your limit is set." in said.content.decode()
    [limit] = own_limits(alice.pk)
    assert limit.limit_units == 20_000
    assert "Your own limit" in text(page)
    page.post(f"/usage/limits/{limit.pk}/remove/")
    assert own_limits(alice.pk) == []


def test_it_takes_dollars_for_a_limit_in_money(page: Client, alice: User) -> None:
    page.post("/usage/limits/", {"unit": "nanousd", "period": "month", "limit": "$1.50"})
    assert own_limits(alice.pk)[0].limit_units == 1_500_000_000


@pytest.mark.parametrize(
    "fields",
    [
        {"unit": "tokens", "period": "day", "limit": "50,000"},
        {"unit": "tokens", "period": "day", "limit": "many"},
        {"unit": "tokens", "period": "day", "limit": "NaN"},
        {"unit": "tokens", "period": "day", "limit": "1e400"},
        {"unit": "tokens", "period": "day", "limit": "0.5"},
        {"unit": "tokens", "period": "day", "limit": "-1"},
        {"unit": "bread", "period": "day", "limit": "1"},
        {"unit": "tokens", "period": "year", "limit": "1"},
        {},
    ],
)
def test_it_says_why_a_limit_cannot_be(page: Client, alice: User, fields: dict[str, str]) -> None:
    said = page.post("/usage/limits/", fields, follow=True).content.decode()
    assert 'class="note bad"' in said
    assert own_limits(alice.pk) == []


def test_it_touches_nothing_of_others(page: Client, alice: User, charlie: User) -> None:
    limit = set_own_limit(user_id=charlie.pk, unit="tokens", period="day", limit_units=10)
    budget = set_budget(scope="user", scope_id=charlie.pk, unit="tokens", limit_units=10, period="week")
    wish = LimitRequest.objects.create(
        budget=budget, user_id=charlie.pk, limit_units=10, wanted_units=20, created_at=timezone.now()
    )
    assert page.post(f"/usage/limits/{limit.pk}/remove/").status_code == 404
    assert page.get(f"/usage/budgets/{budget.pk}/ask/").status_code == 404
    assert page.post(f"/usage/budgets/{budget.pk}/ask/", {"wanted": "99"}).status_code == 404
    assert page.post(f"/usage/requests/{wish.pk}/withdraw/").status_code == 404
    assert len(own_limits(charlie.pk)) == 1
    assert "asked for" not in text(page)


def test_it_moves_the_persons_days(page: Client, alice: User) -> None:
    page.post("/usage/zone/", {"timezone": "America/Sao_Paulo"})
    assert Account.objects.get(user_id=alice.pk).timezone == "America/Sao_Paulo"
    said = page.post("/usage/zone/", {"timezone": "Mars/Phobos"}, follow=True).content.decode()
    assert "is not a time zone" in said
    assert Account.objects.get(user_id=alice.pk).timezone == "America/Sao_Paulo"


def test_it_carries_no_style_or_script_of_its_own(page: Client, alice: User, chat: Conversation) -> None:
    call(alice, conversation_id=chat.pk)
    for address in ("/usage/", "/usage/entries/"):
        shown = text(page, address)
        assert not re.search(r"<style|style=|<script(?![^>]*src=)| on\w+=", shown)


def test_it_sends_as_many_queries_for_much_as_for_little(
    page: Client, alice: User, django_assert_num_queries: object
) -> None:
    unlimited(alice)
    set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=10**9, period="day")
    chats = [Conversation.objects.create(owner=alice, title=f"Chat {number}") for number in range(12)]
    count = django_assert_num_queries
    for calls in (1, 12):
        for number in range(calls):
            call(alice, conversation_id=chats[number].pk)
        with count(18):  # type: ignore[operator]  # pytest-django types it as a protocol
            page.get("/usage/?range=90")
        with count(5):  # type: ignore[operator]
            page.get("/usage/entries/")
