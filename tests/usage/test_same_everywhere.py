"""A property: pages, REST and CSV say what the ledger holds, for any calls in any zone."""

from __future__ import annotations

import csv
import io
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import entries
from billing.accounts import ensure_account, set_plan, set_timezone
from billing.entry_lists import EntriesAsked
from billing.models import LedgerEntry
from billing.receipts import usd
from conversations.api.usage_export import _grouped_csv
from conversations.api.usage_serializers import UsageSerializer
from conversations.api.usage_views import usage_asked, usage_rows
from conversations.templatetags.figures import figure
from tests.billing.entry_pages import all_entries
from tests.usage.making import KINDS, MODELS, call

# Clocks go on or back in each of these within the days below; Apia skipped none of them, but lies far east.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Auckland",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
FIRST = datetime(2026, 9, 20, tzinfo=UTC)
CALLS = st.lists(
    st.tuples(
        st.integers(0, 60 * 24 * 60),  # minutes after FIRST
        st.sampled_from(MODELS),
        st.sampled_from(KINDS),
        st.integers(0, 5000),
        st.integers(0, 3000),
        st.sampled_from(("user", "user", "house")),
        st.booleans(),  # refunded later
    ),
    max_size=8,
)
GROUPS = ("day", "week", "month", "model", "provider", "conversation", "kind", "purpose")


class _Undo(Exception):
    """Ends an example and takes its rows with it."""


@pytest.mark.django_db
@settings(max_examples=12)
@given(made=CALLS, zone=st.sampled_from(ZONES), first=st.integers(-2, 60), days=st.integers(1, 70))
def test_it_says_the_same_everywhere(made: list[Any], zone: str, first: int, days: int) -> None:
    start = (FIRST + timedelta(days=first)).date()
    try:
        with transaction.atomic():
            check(made, zone, start, start + timedelta(days=days - 1))
            raise _Undo
    except _Undo:
        pass


def check(made: list[Any], zone: str, first: date, last: date) -> None:
    person = User.objects.create_user(f"person-{uuid.uuid4().hex}")
    ensure_account(user_id=person.pk)
    set_plan(user_id=person.pk, plan="unlimited")
    set_timezone(user_id=person.pk, timezone_name=zone)
    chats = [uuid.uuid4(), uuid.uuid4()]
    for number, (minutes, model, kind, given_, written, bearer, refunded) in enumerate(made):
        entry = call(
            person,
            conversation_id=chats[number % 2],
            model=model,
            kind=kind,
            tokens=(given_, written),
            bearer=bearer,
            now=FIRST + timedelta(minutes=minutes),
        )
        if refunded:
            entries.refund(entry.pk, reason="undone", now=FIRST + timedelta(days=61))
    wanted = {bearer: ledger(person, first, last, bearer) for bearer in ("user", "house")}

    for group_by in GROUPS:
        fields = {"scope": "own", "group_by": group_by, "from": first, "to": last}
        asked = usage_asked(person, fields)
        rows = usage_rows(asked, fields)
        answer = UsageSerializer(
            {
                "from": first,
                "to": last,
                "group_by": group_by,
                "total": sum_of(rows),
                "results": [{"key": str(row.key), "usage": row.usage} for row in rows],
            }
        ).data
        lines = list(csv.DictReader(io.StringIO(_grouped_csv(person, asked, fields), newline="")))
        for bearer, side, prefix in (("user", "billed", ""), ("house", "house", "house_")):
            tokens, cost = wanted[bearer]
            assert answer["total"][side]["total_tokens"] == tokens
            assert answer["total"][side]["cost_usd"] == (usd(cost) or "0")
            assert sum(row["usage"][side]["total_tokens"] for row in answer["results"]) == tokens
            assert sum(int(line[f"{prefix}total_tokens"]) for line in lines) == tokens

    listed = list(all_entries(EntriesAsked(user_id=person.pk, first_day=first, last_day=last)))
    assert sum(entry.total_tokens for entry in listed if entry.bearer == "user") == wanted["user"][0]

    client = Client()
    client.force_login(person)
    page = re.sub(r"\s+", " ", client.get(f"/usage/?from={first}&to={last}").content.decode())
    assert (
        f'<p class="big">{figure(wanted["user"][0])} <span class="unit">tokens</span> <span class="change"'
        in page
    )


def ledger(person: User, first: date, last: date, bearer: str) -> tuple[int, int]:
    """Tokens and nano-USD, added up one by one."""
    found = LedgerEntry.objects.filter(user_id=person.pk, bearer=bearer, local_day__range=(first, last))
    return sum(entry.total_tokens for entry in found), sum(entry.cost_nanousd or 0 for entry in found)


def sum_of(rows: list[Any]) -> Any:
    from billing.usage_queries import Usage

    return sum((row.usage for row in rows), start=Usage())
