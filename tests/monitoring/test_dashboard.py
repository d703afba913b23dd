"""The usage dashboard: sums of the ledger for who may see them, and nothing that people wrote."""

from __future__ import annotations

import csv
import html
import io
import random
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing.accounts import ensure_account
from billing.budgets import set_budget
from billing.limit_requests import ask_for_more
from billing.models import Budget, LedgerEntry
from billing.rollups import fold_pending
from billing.settlements import settle_hold
from billing.usage import UsageCounts
from conversations.call_days import roll_up_days
from conversations.models import Conversation, Turn
from conversations.models.call import CallHour, LatencyHour, Measure
from monitoring.ledger_tables import budgets_near
from monitoring.models import Incident
from tests.usage.making import call, call_held, random_call, unlimited

pytestmark = pytest.mark.django_db

PAGE = "/admin/billing/usagerollup/"
SECRET = "the merger with Initech"
TABLES = (
    "days",
    "groups",
    "users",
    "hours",
    "calls",
    "errors",
    "latencies",
    "feedback",
    "objectives",
    "incidents",
    "overruns",
    "budgets",
)


@pytest.fixture
def operator(client: Client, root: User) -> Client:
    client.force_login(root)
    return client


@pytest.fixture
def usage(alice: User, bob: User, charlie: User) -> None:
    """A month of calls of three people, in chats whose words are nobody's business."""
    chance = random.Random(3)
    unlimited(alice, bob, charlie)
    for person in (alice, bob, charlie):
        chat = Conversation.objects.create(owner=person, title=SECRET)
        Turn.objects.create(conversation=chat, turn_id=uuid.uuid4(), text=SECRET)
        for _ in range(12):
            when = timezone.now() - timedelta(minutes=chance.randrange(28 * 24 * 60))
            random_call(chance, person, [chat.pk], when)
    fold_pending()
    call(alice, conversation_id=uuid.uuid4())  # one that no rollup of the site holds yet


def staff(*permissions: str) -> Client:
    person = User.objects.create_user("clerk", "clerk@example.org", "clerk-password", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


def table(client: Client, key: str, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{PAGE}csv/{key}/?range=90&{query}")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))


def billed(bearer: str = "user") -> int:
    return sum(entry.total_tokens for entry in LedgerEntry.objects.filter(bearer=bearer))


def test_it_is_for_those_with_the_permission(client: Client, alice: User) -> None:
    addresses = [PAGE, *(f"{PAGE}csv/{key}/" for key in TABLES)]
    for address in addresses:
        assert client.get(address)["Location"].startswith("/admin/login/")
    client.force_login(alice)
    for address in addresses:
        assert client.get(address).status_code == 302
    clerk = staff("view_budget", "view_ledgerentry")
    for address in addresses:
        assert clerk.get(address).status_code == 403, address
    assert "usagerollup" not in clerk.get("/admin/").content.decode()


@pytest.mark.parametrize(
    "query", ["", "&model=demo:friendly", "&provider=nowhere", "&kind=code", "&group_by=user&user={alice}"]
)
def test_each_tile_leads_to_the_ledger_lines_that_it_adds_up(
    operator: Client, usage: None, alice: User, query: str
) -> None:
    page = operator.get(f"{PAGE}?range=30{query.format(alice=alice.pk)}").content.decode()
    tiles = re.findall(r'<a href="([^"]*ledgerentry[^"]*)" class="tile"><h2>([^<]*)</h2>', page)
    assert [label for _, label in tiles] == ["Tokens billed", "Cost billed", "Borne by the house", "Calls"]
    counted = []
    for href, _ in tiles:
        answer = operator.get(html.unescape(href))
        assert answer.status_code == 200, href
        counted.append(answer.context["cl"].result_count)
    of_user, same, of_house, calls = counted
    assert of_user == same
    assert of_user + of_house == calls > 0
    [shown] = re.findall(r'<h2>Calls</h2><p class="big">([\d,]+)', page)
    assert int(shown.replace(",", "")) == calls


def test_who_may_not_see_the_ledger_is_not_sent_there(usage: None) -> None:
    page = staff("view_usagerollup").get(PAGE).content.decode()
    assert 'class="tile"' in page
    assert "ledgerentry" not in page


def test_it_lets_staff_with_the_permission_in(usage: None) -> None:
    clerk = staff("view_usagerollup")
    assert clerk.get(PAGE).status_code == 200
    assert PAGE in clerk.get("/admin/").content.decode()


@pytest.mark.parametrize("group_by", ["model", "provider", "kind", "user", "group"])
@pytest.mark.parametrize("measure", ["tokens", "cost"])
def test_it_sums_to_the_ledger(operator: Client, usage: None, group_by: str, measure: str) -> None:
    page = operator.get(f"{PAGE}?range=90&group_by={group_by}&measure={measure}")
    assert page.status_code == 200
    assert f"{billed():,}" in page.content.decode()
    rows = table(operator, "groups", f"group_by={group_by}&measure={measure}")
    assert sum(int(row["tokens"]) for row in rows) == billed()
    assert sum(int(row["house_tokens"]) for row in rows) == billed("house")


@pytest.mark.parametrize("key", ["days", "users", "hours"])
def test_it_exports_whole_tables(operator: Client, usage: None, key: str) -> None:
    rows = table(operator, key, "range=30")
    assert sum(int(row["tokens"]) for row in rows) == billed()


def test_it_narrows_to_one_person(operator: Client, usage: None, alice: User) -> None:
    mine = sum(e.total_tokens for e in LedgerEntry.objects.filter(user_id=alice.pk, bearer="user"))
    rows = table(operator, "groups", f"user={alice.pk}")
    assert sum(int(row["tokens"]) for row in rows) == mine


def test_it_says_what_is_not_narrowed(operator: Client, usage: None, alice: User) -> None:
    words = "Of the whole site"
    assert words not in operator.get(PAGE).content.decode()
    assert words in operator.get(PAGE, {"user": alice.pk}).content.decode()


def test_it_shows_nothing_that_people_wrote(operator: Client, usage: None) -> None:
    for query in ("", "group_by=user", "group_by=kind"):
        assert SECRET not in operator.get(f"{PAGE}?{query}").content.decode()
    for key in TABLES:
        assert SECRET not in operator.get(f"{PAGE}csv/{key}/").content.decode()


def test_it_shows_calls_errors_and_latencies(operator: Client) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
    common: dict[str, Any] = {"hour": hour, "provider": "demo", "model": "demo:friendly"}
    zeros = {"retries": 0, "fallbacks": 0, "waited_ms": 0, "duration_ms": 0, "reported_calls": 0}
    for code, outcome, calls in (
        ("", "completed", 90),
        ("rate_limited", "waiting", 8),
        ("stalled", "failed", 2),
    ):
        CallHour.objects.create(
            **common,
            **{**zeros, "retries": 3},
            purpose="answer",
            outcome=outcome,
            code=code,
            calls=calls,
            input_estimate_tokens=110 * calls,
            input_tokens=100 * calls,
            output_tokens=0,
        )
    LatencyHour.objects.create(
        **common, measure=Measure.FIRST_TOKEN, bound_ms=500, calls=100, total_ms=40_000
    )
    roll_up_days(hour.date(), hour.date())
    [made] = table(operator, "calls")
    assert (made["calls"], made["errors"], made["rate_limits"], made["retries"]) == ("100", "10", "8", "9")
    assert (made["error_rate_percent"], made["estimate_of_input_percent"]) == ("10.0", "110.0")
    errors = {row["error"]: (row["calls"], row["final"]) for row in table(operator, "errors")}
    assert errors == {"rate_limited": ("8", "0"), "stalled": ("2", "2")}
    [latency] = table(operator, "latencies")
    assert 300 < int(latency["median_ms"]) <= 500
    shown = re.sub(r"\s+", " ", operator.get(PAGE).content.decode())
    assert "10.0 %" in shown


def test_it_shows_what_ran_over_its_hold(operator: Client, alice: User) -> None:
    unlimited(alice)
    now = timezone.now()
    for used in (50, 80):
        hold = call_held(alice, held=(100, 60), now=now)
        settle_hold(
            hold.pk, usage=UsageCounts(input_uncached=100, output_visible=used), estimated=False, now=now
        )
    [row] = table(operator, "overruns")
    assert (row["calls"], row["over_their_hold"], row["share_of_calls_percent"]) == ("2", "1", "50.00")
    assert (row["tokens_over"], row["cost_over_usd"]) == ("20", "0.000008")
    assert (row["input_of_held_input_percent"], row["output_of_held_output_percent"]) == ("100.0", "108.3")


def test_it_knows_no_cost_where_nothing_had_a_price(operator: Client, alice: User) -> None:
    unlimited(alice)
    call(alice, conversation_id=uuid.uuid4(), model="nowhere:unpriced")
    [row] = table(operator, "groups")
    assert (row["calls"], row["cost_usd"]) == ("1", "")
    shown = re.sub(r"\s+", " ", operator.get(PAGE, {"measure": "cost"}).content.decode())
    assert "price unknown" in shown
    assert "1 without a price" in shown


def test_budgets_near_their_limit_are_found_by_an_index(alice: User) -> None:
    """Among periods of a year of days; on PostgreSQL, where plans follow statistics."""
    if connection.vendor != "postgresql":
        pytest.skip("plans of PostgreSQL")
    budget = set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=100, period="day")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_bucket (budget_id, unit, timezone, period_start, period_end, limit_units,"
            " limit_version, hard, posted, held, slack, drawn, notified_percent)"
            " SELECT %s, 'tokens', 'UTC', now() + interval '1 hour' - n * interval '1 hour',"
            " now() + interval '2 hours' - n * interval '1 hour', 100, 1, true, 90, 0, 0, 0, 90"
            " FROM generate_series(1, 50000) AS n",
            [budget.pk],
        )
        cursor.execute("ANALYZE billing_bucket")
        with CaptureQueriesContext(connection) as asked:
            shown = budgets_near(timezone.now())
        cursor.execute("EXPLAIN " + asked.captured_queries[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert len(shown.rows) in (1, 2)
    assert "bucket_by_period_end" in plan
    assert "Seq Scan on billing_bucket" not in plan


def test_it_says_what_needs_attention(operator: Client, alice: User) -> None:
    ensure_account(user_id=alice.pk)
    plan = Budget.objects.get(scope_kind="user", scope_id=str(alice.pk))
    ask_for_more(user_id=alice.pk, budget_id=plan.pk, wanted_units=10**6)
    set_budget(scope="everyone", unit="tokens", limit_units=180, period="month")
    call(alice, conversation_id=uuid.uuid4())
    now = timezone.now()
    Incident.objects.create(rule="cost", subject="site", title="The site spends", opened_at=now, seen_at=now)
    shown = re.sub(r"\s+", " ", operator.get(PAGE).content.decode())
    assert "1 request for more</a> waits" in shown
    assert "1 alert</a> open." in shown
    assert "1 budget</a> at three quarters or more." in shown
    [near] = table(operator, "budgets")
    assert (near["whose"], near["used_share_percent"]) == ("Everyone", "83")
    assert [row["alert"] for row in table(operator, "incidents")] == ["The site spends"]


def test_it_takes_any_query_as_it_can(operator: Client) -> None:
    for query in (
        "range=x",
        "from=no",
        "group_by=password",
        "user=x",
        "user=99999999999999999999",
        "group=-1",
        "model=%00",
    ):
        assert operator.get(f"{PAGE}?{query}").status_code == 200
    assert operator.get(f"{PAGE}csv/secrets/").status_code == 404


def test_it_sends_as_many_queries_for_much_as_for_little(
    operator: Client, alice: User, django_assert_num_queries: Any
) -> None:
    unlimited(alice)
    operator.get(PAGE)
    for calls in (1, 15):
        for _ in range(calls):
            call(alice, conversation_id=uuid.uuid4())
        fold_pending()
        with django_assert_num_queries(19):
            operator.get(f"{PAGE}?group_by=user")


def test_it_carries_no_style_of_its_own(operator: Client, usage: None) -> None:
    shown = operator.get(PAGE).content.decode()
    body = shown[shown.index('id="content-main"') : shown.index('id="footer"')]
    assert not re.search(r"<style|style=| on\w+=", body)
