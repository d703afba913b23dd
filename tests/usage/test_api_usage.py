"""The usage endpoints: own figures for everybody, all of them with the permission, and nothing between."""

from __future__ import annotations

import csv
import io
import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from billing.accounts import join_group, set_timezone
from billing.models import BillingGroup, LedgerEntry
from conversations.access_tokens import issue
from conversations.database import in_database
from conversations.models import ApiKey, Conversation
from tests.conversations.rest import Rest
from tests.conversations.test_api_schema import check, schema  # noqa: F401 - a fixture
from tests.usage.making import call, random_call, unlimited

pytestmark = pytest.mark.django_db(transaction=True)

GROUPS = ("day", "week", "month", "model", "provider", "conversation", "kind", "purpose")
ENDPOINTS = ("usage/", "usage/summary/", "usage/entries/", "usage/export.csv", "budgets/")


async def program(user: User) -> Rest:
    return Rest((await in_database(ApiKey.create, user=user))[1])


async def programs(user: User) -> list[Rest]:
    """With an API key, and with an access token."""
    return [await program(user), Rest((await in_database(issue, user)).access)]


@pytest.fixture
def clerk(db: None) -> User:
    """Staff without the permission."""
    return User.objects.create_user("clerk", "clerk@example.org", "clerk-password", is_staff=True)


@pytest.fixture
def auditor(db: None) -> User:
    """Not staff, with the permission to see the usage of all."""
    person = User.objects.create_user("auditor", "auditor@example.org", "auditor-password")
    person.user_permissions.add(Permission.objects.get(codename="view_usagerollup"))
    return person


@pytest.fixture
def chats(alice: User, bob: User, charlie: User) -> dict[int, list[uuid.UUID]]:
    """Forty days of calls by three people, in chats of theirs."""
    chance = random.Random(7)
    unlimited(alice, bob, charlie)
    set_timezone(user_id=alice.pk, timezone_name="Pacific/Auckland")
    set_timezone(user_id=bob.pk, timezone_name="America/New_York")
    found = {}
    for person in (alice, bob, charlie):
        found[person.pk] = [
            Conversation.objects.create(owner=person, title=f"Chat {number}").pk for number in range(3)
        ]
        for _ in range(25):
            now = timezone.now() - timedelta(minutes=chance.randrange(40 * 24 * 60))
            random_call(chance, person, found[person.pk], now)
    return found


def tokens(user: User | None = None, bearer: str = "user") -> int:
    entries = LedgerEntry.objects.filter(bearer=bearer)
    return sum(entry.total_tokens for entry in (entries.filter(user_id=user.pk) if user else entries))


async def rows_of_csv(response: Any) -> list[dict[str, str]]:
    content = b"".join([chunk async for chunk in response.streaming_content]).decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


@pytest.mark.parametrize("group_by", GROUPS)
async def test_it_sums_to_what_the_ledger_holds(
    group_by: str,
    alice: User,
    chats: dict[int, Any],
    rest: Rest,
    schema: dict[str, Any],  # noqa: F811
) -> None:
    today = datetime.now(UTC).date()
    query = {
        "group_by": group_by,
        "from": str(today - timedelta(days=60)),
        "to": str(today + timedelta(days=2)),
    }
    answer = await rest.get("usage/", **query)
    check(schema, answer, "/api/v1/usage/", "get")
    body = answer.json()
    for bearer, side in (("user", "billed"), ("house", "house")):
        whole = await in_database(tokens, alice, bearer)
        assert body["total"][side]["total_tokens"] == whole
        assert sum(row["usage"][side]["total_tokens"] for row in body["results"]) == whole
    exported = await rows_of_csv(await rest.get("usage/export.csv", **query))
    assert [row[group_by] for row in exported] == [row["key"] for row in body["results"]]
    for line, row in zip(exported, body["results"], strict=True):
        assert int(line["total_tokens"]) == row["usage"]["billed"]["total_tokens"]
        assert line["cost_usd"] == row["usage"]["billed"]["cost_usd"]
        assert int(line["house_total_tokens"]) == row["usage"]["house"]["total_tokens"]


async def test_it_exports_every_entry_once(alice: User, chats: dict[int, Any], rest: Rest) -> None:
    wide = {"from": "2020-01-01", "to": str(datetime.now(UTC).date() + timedelta(days=2))}
    exported = await rows_of_csv(await rest.get("usage/export.csv", **wide))
    entries = await in_database(
        lambda: {str(entry.pk): entry for entry in LedgerEntry.objects.filter(user_id=alice.pk)}
    )
    assert len(exported) == len(entries)
    for line in exported:
        entry = entries.pop(line["id"])
        assert int(line["total_tokens"]) == entry.total_tokens
        assert line["day"] == str(entry.local_day)
    assert entries == {}


async def test_it_pages_through_entries(
    alice: User,
    chats: dict[int, Any],
    rest: Rest,
    schema: dict[str, Any],  # noqa: F811
) -> None:
    seen: list[str] = []
    address = "usage/entries/?limit=7"
    while address:
        answer = await rest.client.get(f"/api/v1/{address}", headers=rest.headers)
        check(schema, answer, "/api/v1/usage/entries/", "get")
        seen += [row["id"] for row in answer.json()["results"]]
        following = answer.json()["next"]
        address = following.partition("/api/v1/")[2] if following else ""
    mine = await in_database(lambda: {str(e.pk) for e in LedgerEntry.objects.filter(user_id=alice.pk)})
    assert len(seen) == len(set(seen)) == 25
    assert set(seen) == mine


async def test_it_filters_entries_and_sums_alike(alice: User, chats: dict[int, Any], rest: Rest) -> None:
    wide = {"from": "2020-01-01", "to": str(datetime.now(UTC).date() + timedelta(days=2))}
    filters: list[dict[str, Any]] = [
        {"kind": "code"},
        {"kind": ""},
        {"model": "demo:friendly"},
        {"provider": "demo"},
        {"conversation": str(chats[alice.pk][0])},
        {"purpose": "title"},
        {"kind": "other", "provider": "nowhere"},
    ]
    for chosen in filters:
        sums = (await rest.get("usage/", **wide, **chosen)).json()["total"]
        rows = (await rest.get("usage/entries/", **wide, **chosen, limit=500)).json()["results"]
        for side, charged in (("billed", True), ("house", False)):
            listed = sum(row["total_tokens"] for row in rows if row["charged"] is charged)
            assert sums[side]["total_tokens"] == listed, chosen


async def test_it_tells_a_person_with_nothing(outsider: Rest, rest: Rest, schema: dict[str, Any]) -> None:  # noqa: F811
    for path in ENDPOINTS:
        answer = await outsider.get(path)
        assert answer.status_code == 200
        if path != "usage/export.csv":
            check(schema, answer, f"/api/v1/{path}", "get")
    assert (await outsider.get("usage/")).json()["total"]["billed"]["total_tokens"] == 0
    assert (await outsider.get("usage/entries/")).json() == {"next": None, "results": []}
    assert (await outsider.get("budgets/")).json()["results"][0]["remaining"] == 50_000


FOR_ALL = [
    ("usage/", {"scope": "all"}),
    ("usage/", {"group_by": "user"}),
    ("usage/", {"group_by": "group"}),
    ("usage/", {"user": "1"}),
    ("usage/", {"group": "0"}),
    ("usage/entries/", {"scope": "all"}),
    ("usage/entries/", {"user": "1"}),
    ("usage/export.csv", {"scope": "all"}),
    ("usage/export.csv", {"group_by": "user"}),
    ("usage/export.csv", {"group": "1"}),
    ("budgets/", {"user": "ALICE"}),
]


@pytest.mark.parametrize(("path", "query"), FOR_ALL)
async def test_it_shows_others_only_with_the_permission(
    path: str,
    query: dict[str, str],
    chats: dict[int, Any],
    alice: User,
    bob: User,
    charlie: User,
    clerk: User,
    auditor: User,
    root: User,
    rest: Rest,
) -> None:
    query = {name: value.replace("ALICE", str(alice.pk)) for name, value in query.items()}
    for person in (alice, bob, charlie, clerk):  # the owner too: others are asked for
        for one in await programs(person):
            answer = await one.get(path, **query)
            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), person
    for person in (auditor, root):
        for one in await programs(person):
            assert (await one.get(path, **query)).status_code == 200, person
    assert (await Rest().get(path, **query)).status_code == 401


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_it_shows_each_person_their_own(
    path: str, chats: dict[int, Any], alice: User, bob: User, charlie: User, clerk: User, rest: Rest
) -> None:
    for person in (alice, bob, charlie, clerk):
        answer = await (await program(person)).get(path)
        assert answer.status_code == 200
    for person in (alice, bob, charlie):
        rows = (await (await program(person)).get("usage/entries/", limit=500)).json()["results"]
        assert {row["user_id"] for row in rows} == {person.pk}


async def test_it_sums_the_site_for_who_may_see_it(
    chats: dict[int, Any], alice: User, auditor: User, rest: Rest
) -> None:
    wide = {"from": "2020-01-01", "to": str(datetime.now(UTC).date() + timedelta(days=2))}
    auditing = await program(auditor)
    whole = await in_database(tokens)
    everyone = (await auditing.get("usage/", scope="all", **wide)).json()
    assert everyone["total"]["billed"]["total_tokens"] == whole
    people = (await auditing.get("usage/", group_by="user", **wide)).json()["results"]
    assert sum(row["usage"]["billed"]["total_tokens"] for row in people) == whole
    team = await in_database(BillingGroup.objects.get)
    groups = (await auditing.get("usage/", group_by="group", **wide)).json()["results"]
    assert {row["key"] for row in groups} == {str(team.pk), "0"}
    one = (await auditing.get("usage/", user=alice.pk, **wide)).json()
    assert one["total"]["billed"]["total_tokens"] == await in_database(tokens, alice)
    listed = (await auditing.get("usage/entries/", scope="all", limit=500)).json()["results"]
    assert len(listed) == 75


async def test_it_hides_titles_of_others_from_who_may_see_figures(
    chats: dict[int, Any], auditor: User, rest: Rest
) -> None:
    auditing = await program(auditor)
    exported = await rows_of_csv(await auditing.get("usage/export.csv", scope="all", group_by="conversation"))
    assert len(exported) == 9
    assert {row["title"] for row in exported} == {""}


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"to": "2026-02-30"},
        {"from": "2026-11-05", "to": "2026-11-04"},
        {"from": "0001-01-01"},
        {"to": "0001-01-01"},
        {"to": "9999-12-31", "from": "1000-01-01"},
        {"group_by": "password"},
        {"kind": "secret"},
        {"conversation": "mine"},
        {"limit": "0"},
        {"limit": "1000000000"},
        {"scope": "galaxy"},
        {"user": "1.5"},
        {"user": "99999999999999999999"},
        {"model": "\x00"},
    ],
)
async def test_it_refuses_a_query_that_cannot_be_read(query: dict[str, str], rest: Rest) -> None:
    answer = await rest.get("usage/", **query)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), answer.content


@pytest.mark.parametrize("cursor", ["x", "2026-11-21", "2026-11-21.x", ".", "2026-11-21." + "f" * 60])
async def test_it_refuses_a_cursor_that_is_none(cursor: str, rest: Rest) -> None:
    answer = await rest.get("usage/entries/", cursor=cursor)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_it_keeps_formulas_out_of_a_spreadsheet(alice: User, rest: Rest) -> None:
    titles = ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "plain"]

    def make() -> None:
        for title in titles:
            chat = Conversation.objects.create(owner=alice, title=title)
            call(alice, conversation_id=chat.pk)

    await in_database(make)
    exported = await rows_of_csv(await rest.get("usage/export.csv", group_by="conversation"))
    assert sorted(row["title"] for row in exported) == sorted(
        title if title == "plain" else f"'{title}" for title in titles
    )
    for row in exported:
        for name, value in row.items():
            if name not in ("conversation",):
                assert not value.startswith(("=", "+", "@", "\t", "\r")), (name, value)


async def test_it_says_how_long_a_budget_lasts(alice: User, rest: Rest) -> None:
    await in_database(call, alice, conversation_id=uuid.uuid4(), tokens=(30_000, 15_000))
    [budget] = (await rest.get("budgets/")).json()["results"]
    assert (budget["unit"], budget["used"], budget["remaining"], budget["level"]) == (
        "tokens",
        45_000,
        5_000,
        "90",
    )
    assert budget["forecast"]["outlook"] in ("runs_out", "unknown", "lasts")


async def test_it_moves_a_call_to_the_persons_own_day(alice: User, rest: Rest) -> None:
    await in_database(set_timezone, user_id=alice.pk, timezone_name="Pacific/Auckland")
    noon = datetime(
        2026, 9, 26, 12, 30, tzinfo=UTC
    )  # 00:30 of the 27th, an hour and a half before its clocks go on
    await in_database(call, alice, conversation_id=uuid.uuid4(), now=noon)
    found = (await rest.get("usage/", **{"from": "2026-09-26", "to": "2026-09-28"})).json()["results"]
    assert [row["usage"]["billed"]["calls"] for row in found] == [0, 1, 0]


async def test_it_keeps_a_former_group_in_the_books(alice: User, bob: User, root: User, rest: Rest) -> None:
    await in_database(call, alice, conversation_id=uuid.uuid4())
    team = await in_database(BillingGroup.objects.get)
    await in_database(join_group, user_id=alice.pk, group=None)
    of_team = (await (await program(root)).get("usage/", group=team.pk)).json()
    assert of_team["total"]["billed"]["calls"] == 1
