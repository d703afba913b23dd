from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from billing import accounts
from billing.accounts import join_group
from billing.budgets import set_budget
from billing.models import Account, BillingGroup, Bucket, Budget, Grant, LedgerEntry, Plan, PriceVersion
from tests.billing import play

pytestmark = pytest.mark.django_db

MODELS = [
    "account",
    "billinggroup",
    "bucket",
    "budget",
    "budgetevent",
    "grant",
    "hold",
    "ledgerentry",
    "plan",
    "priceversion",
]


@pytest.fixture
def admin(root: User) -> Client:
    client = Client()
    client.force_login(root)
    return client


def page(client: Client, path: str, **data: Any) -> str:
    response = client.get(f"/admin/billing/{path}", data)
    assert response.status_code == 200, response
    return response.content.decode()


def send(client: Client, path: str, **data: Any) -> str:
    return client.post(f"/admin/billing/{path}", data, follow=True).content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_page_opens(admin: Client, model: str) -> None:
    play.price()
    budget = play.budget(1_000)
    play.grant(budget)
    accounts.join_group(user_id=1, group=BillingGroup.objects.create(name="team"))
    play.spend(tokens=1_300)
    page(admin, f"{model}/")
    row = apps.get_model("billing", model)._default_manager.first()
    assert row is not None
    page(admin, f"{model}/{row.pk}/change/")


def test_the_list_of_entries_never_counts_or_scans_them_all(admin: Client) -> None:
    play.budget(None)
    for _ in range(3):
        play.spend()
    with CaptureQueriesContext(connection) as queries:
        page(admin, "ledgerentry/")
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "ledgerentry" in query["sql"]]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)
    assert len(queries) < 12


def test_entries_are_found_by_number_and_by_id(admin: Client) -> None:
    play.budget(None)
    mine, other = play.spend(1), play.spend(2)
    for term in ("2", str(other.pk), str(other.hold_id), str(other.generation_id)):
        found = page(admin, "ledgerentry/", q=term)
        assert str(other.pk) in found
        assert str(mine.pk) not in found
    for term in ("3", "somebody", "9" * 30, "' OR 1=1"):
        assert "0 ledger entries" in page(admin, "ledgerentry/", q=term)


def test_entries_are_filtered_by_time_and_kind(admin: Client) -> None:
    entry = play.spend()
    assert str(entry.pk) not in page(admin, "ledgerentry/", since="7")
    assert str(entry.pk) not in page(admin, "ledgerentry/", corrections="yes")
    assert str(entry.pk) in page(admin, "ledgerentry/", since="")
    play.place()
    assert "1 hold" in page(admin, "hold/", alive="yes")


@pytest.mark.parametrize(
    ("path", "query", "column"),
    [("ledgerentry/", {"since": "7"}, "created_at"), ("hold/", {"alive": "yes"}, "lease_expires_at")],
)
def test_a_filtered_list_is_read_in_the_order_of_the_filters_index(
    admin: Client, path: str, query: dict[str, str], column: str
) -> None:
    with CaptureQueriesContext(connection) as queries:
        page(admin, path, **query)
    listed = [found["sql"] for found in queries if f'"{column}"' in found["sql"].partition("ORDER BY")[2]]
    assert len(listed) == 2  # the count, and the rows
    assert all(f'BY "billing_{path[:-1]}"."{column}"' in sql for sql in listed)


def test_entries_cannot_be_added_changed_or_deleted(admin: Client) -> None:
    entry = play.spend()
    assert admin.get("/admin/billing/ledgerentry/add/").status_code == 403
    assert admin.post(f"/admin/billing/ledgerentry/{entry.pk}/change/", {"note": "x"}).status_code == 403
    assert admin.post(f"/admin/billing/ledgerentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert LedgerEntry.objects.get() == entry


def test_an_entry_is_refunded_by_an_entry_that_names_who_did_it(admin: Client, root: User) -> None:
    entry = play.spend()
    data = {"action": "refund", "_selected_action": str(entry.pk)}
    assert "Refunded: 1." in send(admin, "ledgerentry/", **data)
    refund = LedgerEntry.objects.get(kind="refund")
    assert (refund.reverses, refund.actor_id) == (entry, root.pk)
    assert "cannot be corrected" in send(
        admin, "ledgerentry/", action="refund", _selected_action=str(refund.pk)
    )
    assert play.broken() == []


def test_refunding_needs_its_permission(alice: User) -> None:
    entry = play.spend()
    alice.is_staff = True
    alice.save()
    alice.user_permissions.add(Permission.objects.get(codename="view_ledgerentry"))
    client = Client()
    client.force_login(alice)
    assert "Refund the selected" not in page(client, "ledgerentry/")
    send(client, "ledgerentry/", action="refund", _selected_action=str(entry.pk))
    assert LedgerEntry.objects.count() == 1


def budget_form(**changes: Any) -> dict[str, Any]:
    values = {
        "scope_kind": "user",
        "scope_id": "1",
        "model": "",
        "unit": "tokens",
        "period": "day",
        "limit_units": "700",
        "hard": "on",
        "timezone": "UTC",
        "thresholds": "100 %, 50",
    }
    return {**values, **changes}


def test_a_budget_is_set_by_its_verb(admin: Client) -> None:
    play.spend(tokens=600, now=timezone.now())
    send(admin, "budget/add/", **budget_form())
    budget = Budget.objects.get()
    assert (budget.limit_units, budget.source, budget.thresholds, budget.model) == (
        700,
        "hand",
        [50, 100],
        None,
    )
    assert play.user_bucket().limit_units == 700
    assert 'value="50, 100"' in page(admin, f"budget/{budget.pk}/change/")
    send(admin, f"budget/{budget.pk}/change/", limit_units="650", timezone="Asia/Tokyo", thresholds="75")
    budget.refresh_from_db()
    assert (budget.limit_units, budget.hard, budget.timezone) == (650, False, "Asia/Tokyo")
    assert play.user_bucket().limit_units == 650
    send(admin, "budget/", action="close", _selected_action=str(budget.pk))
    assert Budget.objects.get().limit_units == 50_000
    assert play.broken() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"limit_units": "-1"}, "cannot be a limit"),
        ({"limit_units": "1000000000000000001"}, "cannot be a limit"),
        ({"timezone": "Mars/Olympus"}, "not a time zone"),
        ({"scope_id": ""}, "must say whose"),
        ({"scope_id": "bob"}, "nobody with the name"),
        ({"scope_kind": "group", "scope_id": "team"}, "no billing group"),
        ({"scope_kind": "everyone"}, "names nobody"),
        ({"scope_kind": "group", "scope_id": "99"}, "no billing group 99"),
        ({"scope_kind": "conversation", "scope_id": "c"}, "not a conversation"),
        ({"thresholds": "0"}, "percentages from 1 to 100"),
        ({"thresholds": "75, 101"}, "percentages from 1 to 100"),
        ({"thresholds": "[75]"}, "percentages from 1 to 100"),
        ({"thresholds": "seventy"}, "percentages from 1 to 100"),
        ({"thresholds": ", %"}, "percentages from 1 to 100"),
        ({"thresholds": ""}, "required"),
        ({"limit_units": "NaN"}, "cannot be a limit"),
        ({"limit_units": "many"}, "a limit is a number"),
        ({"limit_units": "0.5"}, "tokens are whole"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_with_the_reason(
    admin: Client, changes: dict[str, str], message: str
) -> None:
    assert message in send(admin, "budget/add/", **budget_form(**changes))
    assert Budget.objects.count() == 0


def test_a_conversations_and_a_groups_budget(admin: Client) -> None:
    group = BillingGroup.objects.create(name="team")
    send(admin, "budget/add/", **budget_form(scope_kind="group", scope_id=str(group.pk)))
    send(admin, "budget/add/", **budget_form(scope_kind="conversation", scope_id=str(play.CONVERSATION)))
    send(admin, "budget/add/", **budget_form(scope_kind="everyone", scope_id="", limit_units=""))
    assert {b.scope_kind for b in Budget.objects.all()} == {"group", "conversation", "everyone"}


def test_a_budget_is_set_by_name_and_in_dollars(admin: Client, alice: User) -> None:
    send(
        admin,
        "budget/add/",
        **budget_form(scope_id="alice", unit="nanousd", limit_units="$4.50", model="a:b"),
    )
    budget = Budget.objects.get()
    assert (budget.scope_id, budget.limit_units) == (str(alice.pk), 4_500_000_000)
    assert "alice" in page(admin, "budget/", q="ali")
    assert "$4.50" in page(admin, "budget/")
    assert 'value="4.50"' in page(admin, f"budget/{budget.pk}/change/")
    send(admin, f"budget/{budget.pk}/change/", limit_units="6", timezone="UTC", thresholds="75")
    budget.refresh_from_db()
    assert budget.limit_units == 6_000_000_000


def test_periods_and_warnings_stand_with_names_and_amounts(admin: Client, alice: User) -> None:
    team = BillingGroup.objects.create(name="Research team")
    join_group(user_id=alice.pk, group=team)
    set_budget(scope="user", scope_id=alice.pk, unit="nanousd", limit_units=4_500_000_000, period="none")
    set_budget(scope="group", scope_id=team.pk, unit="tokens", limit_units=5_000, period="month")
    set_budget(scope="own", scope_id=alice.pk, unit="tokens", limit_units=4_000, period="week")
    play.price()
    play.spend(alice.pk, tokens=4_000, now=timezone.now())
    shown = page(admin, "bucket/")
    for words in (
        "alice",
        "alice (own limit)",
        "group Research team",
        "$4.50",
        "5,000 tokens",
        "4,000 tokens",
    ):
        assert words in shown
    assert "4500000000" not in shown
    shown = page(admin, "budgetevent/")
    assert "100 % used" in shown
    assert "alice (own limit)" in shown
    own = Bucket.objects.get(budget__scope_kind="own")
    assert "4,000 tokens by" in page(admin, f"bucket/{own.pk}/change/")


def test_people_stand_in_accounts_groups_and_entries_by_name(admin: Client, alice: User) -> None:
    free = Plan.objects.get(name="free")
    send(admin, "account/add/", user_id="alice", plan=str(free.pk), timezone="UTC")
    play.spend(alice.pk)
    members = {"members-TOTAL_FORMS": "1", "members-INITIAL_FORMS": "0", "members-0-user_id": "alice"}
    send(admin, "billinggroup/add/", name="team", **members)
    assert Account.objects.filter(user_id=alice.pk, plan=free).exists()
    assert BillingGroup.objects.get().members.get().user_id == alice.pk
    for path in ("account/", "ledgerentry/"):
        assert "alice" in page(admin, path)
        assert "alice" in page(admin, path, q="alice")
    assert "nobody with the name" in send(
        admin, "account/add/", user_id="dora", plan=str(free.pk), timezone="UTC"
    )


def test_times_are_written_as_the_pages_write_them(admin: Client) -> None:
    play.spend()
    assert f"{play.NOON:%Y}, {play.NOON:%H:%M}" in page(admin, "ledgerentry/")


def test_a_price_is_added_as_a_new_version(admin: Client) -> None:
    play.price()
    form = {"model": play.MODEL, "input": "0.2", "output": "0.8", "cache_read": "0.05"}
    send(admin, "priceversion/add/", **form)
    new = PriceVersion.objects.exclude(source="shipped").get(valid_to=None)
    assert (new.input_picousd, new.cache_read_picousd, new.thinking_picousd) == (200_000, 50_000, 800_000)
    assert "tenfold" in send(admin, "priceversion/add/", **{**form, "input": "20"})
    assert PriceVersion.objects.exclude(source="shipped").count() == 2
    send(admin, "priceversion/add/", **{**form, "input": "20", "confirm": "on"})
    assert PriceVersion.objects.exclude(source="shipped").count() == 3


@pytest.mark.parametrize("text", ["-1", "NaN", "1e9", "free"])
def test_a_price_that_cannot_be_is_refused(admin: Client, text: str) -> None:
    send(admin, "priceversion/add/", model="a:b", input=text, output="1")
    assert PriceVersion.objects.exclude(source="shipped").count() == 0


def test_a_changed_plan_reaches_its_users(admin: Client) -> None:
    accounts.ensure_account(user_id=1)
    pro = Plan.objects.get(name="pro")
    rule = pro.budgets.get()
    answer = send(
        admin,
        f"plan/{pro.pk}/change/",
        **{
            "name": "pro",
            "label": "Pro",
            "position": "1",
            "budgets-TOTAL_FORMS": "1",
            "budgets-INITIAL_FORMS": "1",
            "budgets-0-id": rule.pk,
            "budgets-0-plan": pro.pk,
            "budgets-0-unit": "tokens",
            "budgets-0-period": "day",
            "budgets-0-limit_units": "60000",
            "budgets-0-hard": "on",
            "budgets-0-thresholds": "75, 90, 100",
        },
    )
    assert "now hold for its 1 person" in answer
    assert Budget.objects.get().limit_units == 60_000


def test_an_account_is_moved_to_a_plan_and_a_zone(admin: Client) -> None:
    free = Plan.objects.get(name="free")
    send(admin, "account/add/", user_id="5", plan=str(free.pk), timezone="Asia/Tokyo")
    budget = Budget.objects.get()
    assert (budget.scope_id, budget.limit_units, budget.timezone) == ("5", 4_000, "Asia/Tokyo")
    account = Account.objects.get()
    assert "not a time zone" in send(admin, f"account/{account.pk}/change/", plan=str(free.pk), timezone="x")


def test_a_budget_is_topped_up(admin: Client, root: User) -> None:
    budget = play.budget(0)
    send(admin, "grant/add/", budget=str(budget.pk), granted_units="500", priority="0")
    assert Grant.objects.get().remaining_units == 500
    assert LedgerEntry.objects.get(kind="grant").actor_id == root.pk
    assert play.place().output_cap_tokens == 400
