"""Each rule: it says what is wrong, about whom, and nothing below its threshold."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from billing import budgets
from billing.models import Bucket
from conversations.models import Pulse
from monitoring.call_rules import AT_ONCE, alerting_codes
from monitoring.incidents import verdicts, watch
from monitoring.models import BooksCheck, Incident
from monitoring.site_rules import silence
from tests.billing import play
from tests.monitoring.conftest import MakeCalls

pytestmark = pytest.mark.django_db


def wrong(now: datetime) -> list[tuple[str, str]]:
    """(rule, subject) of everything that is wrong now."""
    return [(breach.rule, breach.subject) for verdict in verdicts(now) for breach in verdict.breaches]


def test_nothing_is_wrong_with_a_site_that_works(calls: MakeCalls, now: datetime) -> None:
    calls(500, first_token_ms=400, duration_ms=3000)
    assert wrong(now) == []


def test_more_than_one_percent_of_errors(calls: MakeCalls, now: datetime) -> None:
    calls(198)
    calls(2, code="stalled")
    assert wrong(now) == []  # exactly one percent
    calls(1, code="stalled")
    assert wrong(now) == [("error_rate", "openai:one")]


def test_too_few_calls_say_nothing(calls: MakeCalls, now: datetime) -> None:
    calls(19, code="stalled")
    assert wrong(now) == []
    calls(1, code="stalled")
    assert ("error_rate", "openai:one") in wrong(now)


def test_what_the_request_brought_about_is_no_error(calls: MakeCalls, now: datetime) -> None:
    calls(20, code="content_blocked")
    calls(20, code="context_too_long")
    calls(20, code="server_stopped")
    assert wrong(now) == []


def test_the_site_is_named_where_no_model_alone_explains_it(calls: MakeCalls, now: datetime) -> None:
    for model in ("a:1", "b:1", "c:1"):
        calls(6, model=model)
        calls(1, model=model, code="stalled")
    assert wrong(now) == [("error_rate", "site")]


def test_calls_older_than_the_window_do_not_count(calls: MakeCalls, now: datetime) -> None:
    calls(50, code="stalled", at=now - timedelta(minutes=16))
    assert wrong(now) == []


def test_a_code_has_a_limit_of_its_own(calls: MakeCalls, now: datetime) -> None:
    calls(300)
    calls(2, code="bad_request")
    assert wrong(now) == []
    calls(1, code="bad_request")
    assert wrong(now) == [("code_rate", "bad_request")]


def test_slow_first_tokens(calls: MakeCalls, now: datetime) -> None:
    calls(95, first_token_ms=1999)
    calls(5, first_token_ms=9000)
    assert wrong(now) == []  # the 95th of 100 is still in time
    calls(1, first_token_ms=9000)
    assert wrong(now) == [("slow_first_token", "openai:one")]


def test_more_than_two_rate_limits_in_an_hour(calls: MakeCalls, now: datetime) -> None:
    calls(2, code="rate_limited", outcome="waiting", at=now - timedelta(minutes=50))
    calls(1, code="rate_limited", outcome="waiting", at=now - timedelta(minutes=61))
    assert wrong(now) == []
    calls(1, code="rate_limited", outcome="waiting")
    assert wrong(now) == [("rate_limits", "openai:one")]


@pytest.mark.parametrize("code", sorted(AT_ONCE))
def test_one_fault_that_needs_hands_is_enough(calls: MakeCalls, now: datetime, code: str) -> None:
    calls(1, code=code)
    subject = "openai" if AT_ONCE[code][0] == "key" else "openai:one"
    assert wrong(now) == [(code, subject)]


def test_every_error_that_asks_for_an_operator_has_a_rule() -> None:
    assert alerting_codes() <= AT_ONCE.keys()


def test_the_sites_budget_at_each_threshold(now: datetime) -> None:
    budgets.set_budget(
        scope="everyone", scope_id=None, unit="tokens", period="month", limit_units=1000, now=now
    )
    play.spend(tokens=890, now=now)
    assert wrong(now) == []
    play.spend(tokens=20, now=now)
    bucket = Bucket.objects.get(budget__scope_kind="everyone")
    assert wrong(now) == [("site_budget", f"bucket {bucket.pk}: 90 %")]
    play.spend(tokens=90, now=now)
    assert wrong(now)[1:] == [("site_budget", f"bucket {bucket.pk}: 100 %")]


def test_a_users_own_budget_is_no_matter_of_operators(now: datetime) -> None:
    budgets.set_budget(scope="user", scope_id=1, unit="tokens", period="day", limit_units=1000, now=now)
    play.spend(tokens=1000, now=now)
    assert wrong(now) == []


def test_a_suspended_bucket_and_failed_books(now: datetime) -> None:
    play.budget(100_000, now=now)
    play.spend(now=now)
    bucket = Bucket.objects.get()
    Bucket.objects.update(suspended_at=now)
    BooksCheck.objects.create(checked_at=now, seconds=1, failed={"I7": ["x"], "I1": [str(bucket.pk)]})
    assert wrong(now) == [("ledger_drift", f"bucket {bucket.pk}"), ("ledger_drift", "invariant I7")]
    BooksCheck.objects.create(checked_at=now + timedelta(seconds=1), seconds=1, failed={})
    Bucket.objects.update(suspended_at=None)
    assert wrong(now) == []


def test_use_beyond_what_was_held(now: datetime, settings: Settings) -> None:
    play.budget(100_000, now=now)
    settings.ALERT_MIN_CALLS = 2
    play.spend(tokens=1000, now=now)
    play.settle(play.dispatched(now=now, input_tokens=100, wanted_output_tokens=100), 105, 100, now=now)
    assert wrong(now) == []  # 5 of 1,205: below half a percent
    play.settle(play.dispatched(now=now, input_tokens=100, wanted_output_tokens=100), 110, 100, now=now)
    assert wrong(now) == [("ledger_slack", "tokens")]


def test_a_part_that_was_heard_and_is_silent(now: datetime) -> None:
    later = now + timedelta(seconds=91)
    Pulse.objects.filter(name="worker").update(beaten_at=later)
    found = silence(later, since=now - timedelta(hours=1)).breaches
    assert [breach.subject for breach in found] == ["sweeper"]
    assert "silent for 91 s" in found[0].title


def test_a_process_that_has_just_started_has_not_listened_long_enough(now: datetime) -> None:
    later = now + timedelta(hours=5)
    assert silence(later, since=later - timedelta(seconds=10)).breaches == []


def test_a_part_that_never_came_is_silent_too(db: None) -> None:
    start = datetime.fromisoformat("2026-03-04T12:00:00+00:00")
    found = silence(start + timedelta(seconds=91), since=start).breaches
    assert [breach.subject for breach in found] == ["sweeper", "worker"]


def test_a_rule_that_knows_too_little_closes_nothing(calls: MakeCalls, now: datetime) -> None:
    calls(20, code="stalled", at=now - timedelta(minutes=14))
    watch(now=now)
    later = now + timedelta(minutes=5)
    calls(3, code="stalled", at=later)
    for name in ("sweeper", "worker"):
        Pulse.objects.filter(name=name).update(beaten_at=later)
    assert watch(now=later) == []
    assert Incident.objects.get(rule="error_rate").is_open
