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

from billing import entries
from billing.errors import InvalidAmount
from billing.models import LedgerEntry
from billing.usage_sums import Sums
from monitoring.bill_sums import BillSum
from monitoring.models import ProviderBill
from monitoring.reconciliation import Drift, correct_estimate, drift, import_bill
from tests.usage.making import call, unlimited

BILLS = Path(__file__).parent / "bills"
GOOGLE = (BILLS / "google_report.csv").read_text(encoding="utf-8")
TABLE = (BILLS / "google_table.csv").read_text(encoding="utf-8")
OPENAI = (BILLS / "openai_usage.csv").read_text(encoding="utf-8")
DECEMBER = datetime(2026, 12, 9, tzinfo=UTC)
SECOND = date(2026, 11, 2)
MODEL = "openai:gpt-4.1-mini"


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


def bill_of(text: str, *, now: datetime = DECEMBER) -> ProviderBill:
    return import_bill(text.encode(), file_name="usage.csv", currency="USD", now=now)[0]


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
    assert [(one.model, one.billed is None) for one in found] == [(MODEL, True), ("", False), ("", False)]


def test_it_knows_no_drift_of_costs_where_no_call_had_a_price() -> None:
    billed = BillSum(SECOND, SECOND, MODEL, 1, 100, 0, 50, 7_000)
    found = Drift(
        SECOND, SECOND, MODEL, MODEL, billed, Sums(calls=1, unpriced_calls=1, input_uncached_tokens=90)
    )
    assert (found.cost_drift_nanousd, found.input_drift) == (None, 10)


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
def test_it_compares_a_whole_month_where_the_bill_tells_no_days(alice: User) -> None:
    unlimited(alice)
    for day in (1, 2, 20, 30):  # the first is before the days that the bill tells of
        at = datetime(2026, 11, day, 20, tzinfo=UTC)
        call(alice, model="gemini:gemini-2.5-flash", tokens=(600, 200), now=at, conversation_id=uuid.uuid4())
    flash = next(one for one in drift(bill_of(TABLE)) if one.model)
    assert (flash.day, flash.last_day, flash.ours.calls) == (SECOND, date(2026, 11, 30), 3)
    assert (flash.input_drift, flash.output_drift) == (200, 100)


@pytest.mark.django_db
def test_it_adds_up_the_forms_of_one_model(calls: list[LedgerEntry]) -> None:
    mini = drift(bill_of(OPENAI.replace("50.0,30.0", "50.0,30.0").replace("-2025-04-14", "-2025-09-01", 1)))[
        0
    ]
    assert mini.provider_model == "gpt-4.1-mini-2025-04-14, gpt-4.1-mini-2025-09-01"
    assert (mini.input_drift, mini.output_drift) == (10, 0)


@pytest.mark.django_db
def test_it_says_when_a_day_was_not_over(calls: list[LedgerEntry]) -> None:
    bill = bill_of(OPENAI, now=datetime(2026, 11, 2, 23, 59, tzinfo=UTC))
    found = drift(bill)
    assert [one.is_partial for one in found] == [True, True]
    assert not found[0].may_be_estimate
    with pytest.raises(InvalidAmount, match="not over"):
        correct_estimate(bill, found[0])
    assert not any(one.is_partial for one in drift(bill_of(OPENAI + "\n")))


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
    small = bill_of(OPENAI.replace(",300.0,120.0,", ",3.0,1.0,"))
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
    assert 'data-label="Person">alice<' in behind
    assert str(calls[1].pk) in behind
    assert str(calls[2].pk) not in behind
    assert "input_drift" in client.get(f"/admin/monitoring/providerbill/{pk}/csv/").content.decode()
    said = client.post(f"/admin/monitoring/providerbill/{pk}/correct/2026-11-02/{MODEL}/", follow=True)
    assert "Corrected by the true-up" in said.content.decode()
    bad = client.post("/admin/monitoring/providerbill/add/", {"file": SimpleUploadedFile("x", b"a\xff")})
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


@pytest.mark.django_db
def test_it_asks_which_dollars_these_are(client: Client, root: User, tmp_path: Path) -> None:
    client.force_login(root)
    address = "/admin/monitoring/providerbill/add/"

    def upload(**fields: str) -> str:
        file = SimpleUploadedFile("report.csv", GOOGLE.encode(), "text/csv")
        return client.post(address, {"file": file, **fields}, follow=True).content.decode()

    assert "say whether your billing account is in US dollars" in upload()
    assert "Costs are in another currency" in upload(currency="other")
    assert not ProviderBill.objects.exists()
    assert "costs are in US dollars" in upload(currency="USD")
    file = tmp_path / "report.csv"
    file.write_text(GOOGLE + "\n", encoding="utf-8")
    with pytest.raises(CommandError, match="names no currency"):
        call_command("bill_import", str(file))
    call_command("bill_import", str(file), currency="USD", stdout=StringIO())
    assert ProviderBill.objects.count() == 2
