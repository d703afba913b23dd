"""Providers' bills beside the books: read as they come, compared day by day, led down to the entries."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from billing import entries
from billing.errors import InvalidAmount
from billing.models import LedgerEntry
from monitoring.bill_files import BillUnreadable, match_model, read_bill
from monitoring.models import ProviderBill
from monitoring.reconciliation import correct_estimate, drift, import_bill
from tests.usage.making import call, unlimited

BILLS = Path(__file__).parent / "bills"
GOOGLE = (BILLS / "google.csv").read_text(encoding="utf-8")
OPENAI = (BILLS / "openai.csv").read_text(encoding="utf-8")
COSTS = (BILLS / "costs.csv").read_text(encoding="utf-8")
SECOND = date(2026, 11, 2)
MODEL = "openai:gpt-4.1-mini"


# --- Files ------------------------------------------------------------------------


def test_it_reads_googles_cost_table() -> None:
    found = read_bill(GOOGLE)
    assert (found.provider, found.zone) == ("gemini", "America/Los_Angeles")
    flash, lite = found.sums
    assert (flash.model, flash.day) == ("gemini-2.5-flash", SECOND)
    assert (flash.input_tokens, flash.output_tokens, flash.cost_nanousd) == (1500, 700, 2_200_000)
    assert (lite.model, lite.input_tokens, lite.output_tokens) == ("gemini-2.5-flash-lite", 40, None)


def test_it_reads_openais_usage_and_costs() -> None:
    mini, unknown = read_bill(OPENAI).sums
    assert (mini.requests, mini.input_tokens, mini.cached_tokens, mini.output_tokens) == (3, 350, 100, 150)
    assert (unknown.model, unknown.day) == ("gpt-9", date(2026, 11, 3))
    [cost] = read_bill(COSTS).sums
    assert (cost.model, cost.cost_nanousd, cost.input_tokens) == ("gpt-4.1-mini-2025-04-14", 360_000, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither"),
        ("a,b,c\n1,2,3\n", "neither"),
        (OPENAI.partition("\n")[0], "no line"),
        (OPENAI.replace(",300,", ",many,"), "Line 1"),
        (OPENAI.replace(",300,", ",1e400,"), "Line 1"),
        (OPENAI.replace(",300,", ",NaN,"), "Line 1"),
        (OPENAI.replace("2026-11-02T", "2026-99-02T"), "Line 1"),
        (COSTS.replace("usd", "eur"), "only US dollars"),
        (GOOGLE.replace("Cost ($)", "Cost (€)"), "only US dollars"),
        (GOOGLE.replace("2026-11-02,2026-11-02", "2026-11-02,2026-11-30"), "by day"),
        ('model,input_tokens,output_tokens\n"unclosed' + "x" * 200_000, "no CSV"),
    ],
)
def test_it_says_why_a_file_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(BillUnreadable, match=why):
        read_bill(text)


@given(st.text(max_size=300))
def test_it_reads_or_refuses_any_text(text: str) -> None:
    for beginning in (
        "",
        OPENAI.partition("\n")[0] + "\n",
        "SKU description,Usage start date,Usage amount\n",
    ):
        try:
            read_bill(beginning + text)
        except BillUnreadable:
            continue


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4.1-mini", "openai:gpt-4.1-mini"),
        ("gpt-4.1-mini-2025-04-14", "openai:gpt-4.1-mini"),
        ("gpt-4.1", "openai:gpt-4.1"),
        ("gpt-4.1-nano", None),
        ("gpt-4", None),
        ("", None),
    ],
)
def test_it_knows_a_model_by_its_dated_name(name: str, model: str | None) -> None:
    assert (
        match_model(name, "openai", ["openai:gpt-4.1", "openai:gpt-4.1-mini", "other:gpt-4.1-nano"]) == model
    )


# --- The books --------------------------------------------------------------------


@pytest.fixture
def calls(alice: User) -> list[LedgerEntry]:
    """Two calls of the second of November (UTC), one of the first, and one of another provider."""
    unlimited(alice)
    at = datetime(2026, 11, 2, 9, tzinfo=UTC)
    common: dict[str, Any] = {"conversation_id": uuid.uuid4()}
    return [
        call(alice, model=MODEL, tokens=(300, 120), now=at, **common),
        call(alice, model=MODEL, tokens=(40, 30), now=at, estimated=True, bearer="house", **common),
        call(alice, model=MODEL, tokens=(9, 9), now=datetime(2026, 11, 1, 23, 59, tzinfo=UTC), **common),
        call(alice, model="demo:friendly", tokens=(5, 5), now=at, **common),
    ]


def bill_of(text: str) -> ProviderBill:
    return import_bill(text.encode(), file_name="usage.csv")[0]


@pytest.mark.django_db
def test_it_shows_the_drift_of_each_day_and_model(calls: list[LedgerEntry]) -> None:
    mini, unknown = drift(bill_of(OPENAI))
    assert (mini.day, mini.model, mini.ours.calls, mini.ours.estimated_calls) == (SECOND, MODEL, 2, 1)
    assert (mini.ours.input_tokens, mini.input_drift) == (340, 10)
    assert (mini.ours.output_tokens, mini.output_drift) == (150, 0)
    assert mini.percent == Decimal("2.04")
    assert (unknown.model, unknown.provider_model, unknown.input_drift) == ("", "gpt-9", 7)


@pytest.mark.django_db
def test_it_shows_what_the_bill_is_silent_about(calls: list[LedgerEntry]) -> None:
    silent = OPENAI.replace("gpt-4.1-mini-2025-04-14", "gpt-9")
    found = drift(bill_of(silent))
    assert [(one.model, one.line is None) for one in found] == [(MODEL, True), ("", False), ("", False)]


@pytest.mark.django_db
def test_it_leaves_refunds_between_us_and_the_user(calls: list[LedgerEntry]) -> None:
    entries.refund(calls[0].pk, reason="wrong answer")
    assert drift(bill_of(OPENAI))[0].input_drift == 10


@pytest.mark.django_db
def test_it_counts_in_the_providers_days(alice: User) -> None:
    unlimited(alice)
    evening = datetime(2026, 11, 3, 6, tzinfo=UTC)  # still the second on the west coast
    call(
        alice, model="gemini:gemini-2.5-flash", tokens=(1500, 600), now=evening, conversation_id=uuid.uuid4()
    )
    flash = drift(bill_of(GOOGLE))[0]
    assert (flash.model, flash.day, flash.input_drift) == ("gemini:gemini-2.5-flash", SECOND, 0)
    assert flash.output_drift == 100


@pytest.mark.django_db
def test_it_imports_a_file_once(alice: User) -> None:
    first, created = import_bill(OPENAI.encode(), file_name="a.csv")
    again, created_again = import_bill(OPENAI.encode(), file_name="b.csv")
    assert (created, created_again, again.pk) == (True, False, first.pk)
    assert first.lines.count() == 2


@pytest.mark.django_db
def test_it_settles_the_one_estimate_by_the_bill(calls: list[LedgerEntry]) -> None:
    bill = bill_of(OPENAI)
    made = correct_estimate(bill, drift(bill)[0])
    assert (made.kind, made.input_tokens, made.output_tokens) == ("trueup", 10, 0)
    mended = drift(bill)[0]
    assert (mended.input_drift, mended.output_drift) == (0, 0)
    with pytest.raises(InvalidAmount, match="0 estimates"):
        correct_estimate(bill, mended)


@pytest.mark.django_db
def test_it_settles_nothing_that_the_bill_cannot_tell_apart(calls: list[LedgerEntry], alice: User) -> None:
    at = datetime(2026, 11, 2, 10, tzinfo=UTC)
    call(alice, model=MODEL, tokens=(1, 1), estimated=True, now=at, conversation_id=uuid.uuid4())
    bill = bill_of(OPENAI)
    with pytest.raises(InvalidAmount, match="2 estimates"):
        correct_estimate(bill, drift(bill)[0])
    small = bill_of(OPENAI.replace(",300,120,", ",3,1,"))
    with pytest.raises(InvalidAmount):
        correct_estimate(small, drift(small)[0])


# --- Doors ------------------------------------------------------------------------


def staff(*permissions: str) -> Client:
    person = User.objects.create_user("clerk", "clerk@example.org", "clerk-password", is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(person)
    return client


@pytest.mark.django_db
def test_it_is_uploaded_looked_at_and_followed_down(
    client: Client, root: User, calls: list[LedgerEntry]
) -> None:
    client.force_login(root)
    upload = SimpleUploadedFile("=usage.csv", OPENAI.encode(), "text/csv")
    page = client.post("/admin/monitoring/providerbill/add/", {"file": upload}, follow=True).content.decode()
    assert "gpt-4.1-mini" in page
    assert "Correct by the bill" in page
    pk = ProviderBill.objects.get().pk
    behind = client.get(f"/admin/monitoring/providerbill/{pk}/entries/2026-11-02/{MODEL}/").content.decode()
    assert str(calls[0].pk) in behind
    assert str(calls[1].pk) in behind
    assert str(calls[2].pk) not in behind
    assert "input_drift" in client.get(f"/admin/monitoring/providerbill/{pk}/csv/").content.decode()
    said = client.post(f"/admin/monitoring/providerbill/{pk}/correct/2026-11-02/{MODEL}/", follow=True)
    assert "Corrected by the true-up" in said.content.decode()
    bad = client.post("/admin/monitoring/providerbill/add/", {"file": SimpleUploadedFile("x", b"\xff\xfe")})
    assert "not text in UTF-8" in bad.content.decode()
    for address in ("999999/change/", f"{pk}/entries/never/{MODEL}/", "x/change/"):
        assert client.get(f"/admin/monitoring/providerbill/{address}").status_code == 404


@pytest.mark.django_db
def test_it_is_for_those_with_the_permission(calls: list[LedgerEntry]) -> None:
    pk = bill_of(OPENAI).pk
    base = "/admin/monitoring/providerbill/"
    clerk = staff("view_budget")
    for address in (f"{pk}/change/", f"{pk}/csv/", f"{pk}/entries/2026-11-02/{MODEL}/", "add/"):
        assert clerk.get(base + address).status_code == 403
    clerk.logout()
    User.objects.all().exclude(username="alice").delete()
    looker = staff("view_providerbill")
    assert looker.get(f"{base}{pk}/change/").status_code == 200
    assert looker.post(f"{base}{pk}/correct/2026-11-02/{MODEL}/").status_code == 403
    assert looker.get(f"{base}add/").status_code == 403


@pytest.mark.django_db
def test_it_is_imported_by_command(calls: list[LedgerEntry], tmp_path: Path) -> None:
    file = tmp_path / "usage.csv"
    file.write_text(OPENAI, encoding="utf-8")
    out = StringIO()
    call_command("bill_import", str(file), stdout=out)
    assert f"2026-11-02 {MODEL}: input +10, output +0, off by 2.04 %" in out.getvalue()
    assert "gpt-9 (not in the books)" in out.getvalue()
    with pytest.raises(CommandError):
        call_command("bill_import", str(tmp_path / "missing.csv"))
