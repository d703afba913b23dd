"""Billing files: read as the consoles export them, and as spreadsheets hand them on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.bill_files import BillUnreadable, CurrencyUnnamed, match_model, read_bill

BILLS = Path(__file__).parent / "bills"
REPORT = (BILLS / "google_report.csv").read_text(encoding="utf-8")
TABLE = (BILLS / "google_table.csv").read_text(encoding="utf-8")
USAGE = (BILLS / "openai_usage.csv").read_text(encoding="utf-8")
COSTS = (BILLS / "openai_costs.csv").read_text(encoding="utf-8")
SECOND, THIRD = date(2026, 11, 2), date(2026, 11, 3)


def test_it_reads_googles_report_by_day() -> None:
    found = read_bill(REPORT, currency="USD")
    assert (found.provider, found.zone) == ("gemini", "America/Los_Angeles")
    flash, lite, pro, image = found.sums
    assert (flash.model, flash.day, flash.last_day) == ("gemini-2.5-flash", SECOND, SECOND)
    assert (flash.input_tokens, flash.output_tokens, flash.cost_nanousd) == (1500, 700, 2_200_000)
    assert (lite.model, lite.input_tokens, lite.output_tokens) == ("gemini-2.5-flash-lite", 40, None)
    # The answers to short questions, and not their input.
    assert (pro.model, pro.day, pro.input_tokens, pro.output_tokens) == ("gemini-2.5-pro", THIRD, None, 90)
    assert (image.model, image.cost_nanousd) == ("gemini-3-pro-image", 154_800_000)


def test_it_reads_googles_cost_table_with_its_spans() -> None:
    flash, lite, search = read_bill(TABLE).sums
    assert (flash.model, flash.day, flash.last_day) == ("gemini-2.5-flash", SECOND, date(2026, 11, 30))
    assert (flash.input_tokens, flash.cached_tokens, flash.output_tokens) == (2000, 500, 700)
    assert flash.cost_nanousd == 2_240_000  # and no promotion
    assert (lite.day, lite.last_day) == (date(2026, 11, 5), date(2026, 11, 5))
    # What the API bills beside its models is not lost.
    assert (search.model, search.cost_nanousd) == ("grounding with google search", 105_000_000)


def test_it_changes_other_currencies_at_the_rate_of_the_invoice() -> None:
    australian = TABLE.replace("Currency,USD", "Currency,AUD").replace("rate,1", "rate,1.5")
    # 450,000 and 40,000 and 1,750,000, each over 1.5
    assert read_bill(australian).sums[0].cost_nanousd == 1_493_334
    with pytest.raises(BillUnreadable, match="in AUD"):
        read_bill(TABLE.replace("Currency,USD", "Currency,AUD").replace("Currency exchange rate", "x"))


def test_it_reads_openais_usage_and_costs() -> None:
    mini, unknown = read_bill(USAGE).sums
    assert (mini.requests, mini.input_tokens, mini.cached_tokens, mini.output_tokens) == (3, 350, 100, 150)
    assert (unknown.model, unknown.day) == ("gpt-9", THIRD)
    [cost] = read_bill(COSTS).sums
    assert (cost.model, cost.cost_nanousd, cost.input_tokens) == ("gpt-4.1-mini-2025-04-14", 360_000, None)


@pytest.mark.parametrize("text", [REPORT, TABLE, USAGE, COSTS])
def test_it_reads_what_spreadsheets_make_of_it(text: str) -> None:
    plain = read_bill(text, currency="USD")
    for changed in (
        b"\xef\xbb\xbf" + text.encode(),
        text.replace("\n", "\r\n").encode("utf-16"),
        "\n" + text.upper().replace("T00:00", "t00:00") + "\n\n",
    ):
        assert read_bill(changed, currency="USD") == plain


def test_it_takes_no_dollar_for_a_us_dollar() -> None:
    with pytest.raises(CurrencyUnnamed, match="names no currency"):
        read_bill(REPORT)
    with pytest.raises(BillUnreadable, match="another currency"):
        read_bill(REPORT, currency="other")
    for named in ("USD", "US$"):
        plain = read_bill(REPORT.replace("($)", f"({named})"))
        assert plain == read_bill(REPORT, currency="usd")
    # What the file says goes before what is said of it.
    with pytest.raises(BillUnreadable, match="in €"):
        read_bill(REPORT.replace("($)", "(€)"), currency="USD")
    assert read_bill(TABLE, currency="other") == read_bill(TABLE)


def test_it_reads_decimal_commas() -> None:
    german = (
        "Date;Service description;SKU description;Usage amount;Usage unit;Unrounded subtotal ($)\n"
        "02.11.2026;Gemini API;Generate content input token count gemini 2.5 flash text;1.500;count;0,00045\n"
    )
    [flash] = read_bill(german, currency="USD").sums
    assert (flash.day, flash.input_tokens, flash.cost_nanousd) == (SECOND, 1500, 450_000)
    with pytest.raises(BillUnreadable, match="with commas and with points"):
        read_bill(german.replace("1.500;", "0.15;"), currency="USD")


@pytest.mark.parametrize(
    ("start", "day"),
    [
        ("1793577600", SECOND),
        ("1793663999", SECOND),
        ("2026-11-02", SECOND),
        ("2026/11/02", SECOND),
        ("2026-11-02T23:30:00Z", SECOND),
        ("2026-11-02 23:30:00 UTC", SECOND),
        ("2026-11-03T08:30:00+09:00", SECOND),
        ("2026-11-02T20:00:00-05:00", THIRD),
    ],
)
def test_it_counts_moments_on_the_days_of_utc(start: str, day: date) -> None:
    text = f"start_time,model,input_tokens,output_tokens\n{start},gpt-5,1,1\n"
    assert [one.day for one in read_bill(text).sums] == [day]


def test_it_adds_up_the_hours_of_a_day() -> None:
    lines = "".join(f"{1793577600 + 3600 * hour},gpt-5,10,1\n" for hour in range(25))
    whole, next_hour = read_bill(f"start_time,model,input_tokens,output_tokens\n{lines}").sums
    assert (whole.input_tokens, next_hour.input_tokens) == (240, 10)


def column_gone(text: str, name: str) -> str:
    return text.replace(name, "x", 1)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "neither"),
        ("a,b,c\n1,2,3\n", "neither"),
        (USAGE.partition("\n")[0], "no line"),
        (USAGE.replace(",300.0,", ",many,"), "Line 1"),
        (USAGE.replace(",300.0,", ",1e400,"), "Line 1"),
        (USAGE.replace(",300.0,", ",NaN,"), "Line 1"),
        (USAGE.replace("2026-11-02T", "2026-99-02T"), "Line 1"),
        (USAGE.replace("2026-11-02T00:00:00+00:00", "11/2/2026"), "may be two days"),
        (USAGE.replace("gpt-9", ""), "grouped by model"),
        (column_gone(USAGE, "model,"), "group it by model"),
        (COSTS.replace("usd", "eur"), "only US dollars"),
        (COSTS.replace('"gpt-4.1-mini-2025-04-14, input"', ""), "grouped by line item"),
        (column_gone(COSTS, "line_item"), "by line item"),
        (column_gone(REPORT, "Date"), "by date and SKU"),
        (column_gone(REPORT, "SKU description"), "by date and SKU"),
        (REPORT.replace("($)", "(€)"), "only US dollars"),
        ('model,input_tokens,output_tokens\n"unclosed' + "x" * 200_000, "no CSV"),
    ],
)
def test_it_says_why_a_file_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(BillUnreadable, match=why):
        read_bill(text)


@given(st.text(max_size=300) | st.binary(max_size=300))
def test_it_reads_or_refuses_any_file(rest: str | bytes) -> None:
    for beginning in ("", USAGE.partition("\n")[0] + "\n", "SKU description;Usage start date;Usage amount\n"):
        try:
            read_bill(beginning.encode() + rest if isinstance(rest, bytes) else beginning + rest)
        except BillUnreadable:
            continue


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("gpt-4.1-mini", "openai:gpt-4.1-mini"),
        ("gpt-4.1-mini-2025-04-14", "openai:gpt-4.1-mini"),
        ("gpt-4.1", "openai:gpt-4.1"),
        ("gpt-6", "openai:gpt-6-preview"),
        ("gpt-4.1-nano", None),
        ("gpt-4", None),
        ("", None),
    ],
)
def test_it_knows_a_model_by_its_forms(name: str, model: str | None) -> None:
    known = ["openai:gpt-4.1", "openai:gpt-4.1-mini", "openai:gpt-6-preview", "other:gpt-4.1-nano"]
    assert match_model(name, "openai", known) == model
