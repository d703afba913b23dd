"""Rules about provider calls: error rates, slow first tokens, rate limits, and faults that need hands.

Rates look at the last ALERT_WINDOW_SECONDS and say nothing below ALERT_MIN_CALLS calls. The site as a
whole is reported only where no model alone explains it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max, Q

from conversations.calls import REQUEST_CODES
from conversations.models import CallRecord
from llm import errors
from monitoring.findings import SITE, Breach, Verdict, lasting

# Rate limits have a rule of their own; a stop of the server is an operator's doing.
NOT_ERRORS = REQUEST_CODES | {"", "rate_limited", "server_stopped"}
# A code's own rate needs more than one unlucky call.
LEAST_OF_A_CODE = 3
# Faults that no waiting mends: one is enough. What each is about decides whom it concerns.
AT_ONCE: dict[str, tuple[str, str]] = {
    "bad_credentials": ("key", "{} refuses its API key"),
    "out_of_credit": ("key", "The credit at {} is used up"),
    "daily_quota": ("model", "The daily quota of {} is used up"),
    "model_gone": ("model", "{} is no longer offered by its provider"),
    "not_enabled": ("model", "{} is not enabled for this account"),
    "breaker_open": ("model", "Calls of {} are kept back: most of them fail"),
    "not_available": ("model", "{} is not available to this account"),
}


def alerting_codes() -> set[str]:
    """Codes of the errors that say of themselves that an operator must act."""
    found, waiting = set(), [errors.LLMError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.alert:
            found.add(kind.code)
    return found


@dataclass(slots=True)
class Tally:
    """Calls of the window, of one model or of all."""

    calls: int = 0
    errors: int = 0
    first_tokens: int = 0
    by_code: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, code: str, calls: int, first_tokens: int) -> None:
        self.calls += calls
        self.first_tokens += first_tokens
        if code:
            self.by_code[code] += calls
        if code not in NOT_ERRORS:
            self.errors += calls


def read_window(since: datetime) -> dict[str, Tally]:
    """Tallies by model since then; SITE holds all together."""
    rows = (
        CallRecord.objects.filter(ended_at__gte=since)
        .values_list("model", "code")
        .annotate(Count("pk"), Count("first_token_ms"))
    )
    tallies: dict[str, Tally] = defaultdict(Tally)
    tallies[SITE] = Tally()
    for model, code, calls, first_tokens in rows:
        tallies[model].add(code, calls, first_tokens)
        tallies[SITE].add(code, calls, first_tokens)
    return dict(tallies)


def error_rate(tallies: dict[str, Tally]) -> Verdict:
    limit = settings.ALERT_ERROR_PERCENT
    breaches, judged = [], set()
    for subject, tally in tallies.items():
        if tally.calls >= settings.ALERT_MIN_CALLS or (tally.calls and not tally.errors):
            judged.add(subject)
        if tally.calls < settings.ALERT_MIN_CALLS or tally.errors * 100 <= limit * tally.calls:
            continue
        percent = 100 * tally.errors / tally.calls
        codes = {code: n for code, n in tally.by_code.items() if code not in NOT_ERRORS}
        detail = {"calls": tally.calls, "errors": tally.errors, "limit_percent": limit, "codes": codes}
        title = f"{percent:.1f} % of the calls of {_name(subject)} fail"
        breaches.append(Breach("error_rate", subject, title, detail))
    return lasting("error_rate", _without_explained_site(breaches), judged)


def code_rates(tallies: dict[str, Tally]) -> Verdict:
    """Codes with limits of their own (ALERT_CODE_PERCENTS), for the site as a whole."""
    tally = tallies[SITE]
    breaches = []
    for code, limit in settings.ALERT_CODE_PERCENTS.items():
        calls = tally.by_code.get(code, 0)
        if tally.calls >= settings.ALERT_MIN_CALLS and calls >= LEAST_OF_A_CODE:
            percent = 100 * calls / tally.calls
            if percent > limit:
                detail = {"calls": tally.calls, "of_this_code": calls, "limit_percent": limit}
                breaches.append(
                    Breach("code_rate", code, f"{percent:.1f} % of all calls end as {code}", detail)
                )
    return lasting("code_rate", breaches)


def slow_first_token(tallies: dict[str, Tally], since: datetime) -> Verdict:
    limit_ms = settings.ALERT_FIRST_TOKEN_P95_SECONDS * 1000
    breaches, judged = [], set()
    for subject, tally in tallies.items():
        if tally.first_tokens < settings.ALERT_MIN_CALLS:
            continue
        judged.add(subject)
        calls = CallRecord.objects.filter(ended_at__gte=since, first_token_ms__isnull=False)
        if subject != SITE:
            calls = calls.filter(model=subject)
        values = calls.order_by("first_token_ms").values_list("first_token_ms", flat=True)
        at = max(-(-tally.first_tokens * 95 // 100) - 1, 0)
        p95 = next(iter(values[at : at + 1]), None)
        if p95 is not None and p95 > limit_ms:
            detail = {"p95_ms": p95, "limit_ms": limit_ms, "calls": tally.first_tokens}
            title = f"The first token of {_name(subject)} takes {p95 / 1000:.1f} s (95 %)"
            breaches.append(Breach("slow_first_token", subject, title, detail))
    return lasting("slow_first_token", _without_explained_site(breaches), judged)


def rate_limits(now: datetime) -> Verdict:
    limit = settings.ALERT_RATE_LIMITS_PER_HOUR
    limited = CallRecord.objects.filter(ended_at__gte=now - timedelta(hours=1), code="rate_limited")
    breaches = [
        Breach(
            "rate_limits",
            model,
            f"{calls} rate limits of {model} in an hour",
            {"calls": calls, "limit": limit},
        )
        for model, calls in limited.values_list("model").annotate(Count("pk"))
        if calls > limit
    ]
    return lasting("rate_limits", breaches)


def at_once(since: datetime) -> list[Verdict]:
    """Bad credentials and their like: over once a call of the same key or model is good again."""
    last_good = Max("ended_at", filter=Q(code=""))
    verdicts = []
    for code in sorted(AT_ONCE):
        scope, title = AT_ONCE[code]
        key = "provider" if scope == "key" else "model"
        rows = (
            CallRecord.objects.filter(ended_at__gte=since, code__in=("", code))
            .values_list(key)
            .annotate(bad=Max("ended_at", filter=Q(code=code)), good=last_good)
        )
        good = {subject: at for subject, _, at in rows if at is not None}
        breaches = [
            Breach(code, subject, title.format(subject), {"last_at": bad.isoformat()}, seen_at=bad)
            for subject, bad, _ in rows
            if bad is not None
        ]

        def recovered(subject: str, seen_at: datetime, good: dict[str, datetime] = good) -> bool:
            return subject in good and good[subject] > seen_at

        verdicts.append(Verdict(code, breaches, recovered))
    return verdicts


def _without_explained_site(breaches: list[Breach]) -> list[Breach]:
    models = [breach for breach in breaches if breach.subject != SITE]
    return models or breaches


def _name(subject: str) -> str:
    return "the site" if subject == SITE else subject
