"""Rules about the site itself: its budgets, its books, and the parts that nobody sees."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.utils import timezone

from billing.buckets import percent_used
from billing.models import Bucket, Posting, ScopeKind
from billing.receipts import usd
from conversations.models import Pulse
from conversations.models.pulse import SWEEPER, WORKER
from monitoring.findings import Breach, Verdict, lasting
from monitoring.models import BooksCheck

# When this process began: a part cannot have been silent towards it for longer.
STARTED_AT = timezone.now()
# Failures of these show as the buckets that they close.
OF_BUCKETS = ("I1", "I2", "I3")
PARTS = {SWEEPER: "The sweeper", WORKER: "The worker"}


def site_budgets(now: datetime) -> Verdict:
    """Budgets of everyone, at each of ALERT_BUDGET_PERCENTS."""
    buckets = Bucket.objects.filter(
        Q(period_end__isnull=True) | Q(period_end__gt=now),
        Q(budget__valid_to__isnull=True) | Q(budget__valid_to__gt=now),
        budget__scope_kind=ScopeKind.EVERYONE,
        period_start__lte=now,
        limit_units__isnull=False,
    ).select_related("budget")
    breaches = []
    for bucket in buckets:
        assert bucket.limit_units is not None
        percent = percent_used(bucket.posted, bucket.limit_units)
        for threshold in settings.ALERT_BUDGET_PERCENTS:
            if percent >= threshold:
                used, limit = _amount(bucket.posted, bucket.unit), _amount(bucket.limit_units, bucket.unit)
                what = f"{bucket.budget.model or 'all models'}, per {bucket.budget.period}"
                detail = {"bucket_id": bucket.pk, "used": used, "limit": limit, "percent": percent}
                title = f"The site's budget ({what}) is at {threshold} %: {used} of {limit}"
                breaches.append(Breach("site_budget", f"bucket {bucket.pk}: {threshold} %", title, detail))
    return lasting("site_budget", breaches)


def ledger_drift() -> Verdict:
    """Buckets whose sums differ from their lines, and whatever the last check of all books found."""
    breaches = [
        Breach(
            "ledger_drift",
            f"bucket {bucket_id}",
            f"The sums of bucket {bucket_id} differ from its lines; it admits nothing",
            {"bucket_id": bucket_id},
        )
        for bucket_id in Bucket.objects.filter(suspended_at__isnull=False).values_list("pk", flat=True)
    ]
    last = BooksCheck.objects.order_by("-checked_at").first()
    if last is not None:
        breaches += [
            Breach(
                "ledger_drift",
                f"invariant {name}",
                f"The check of the books fails: {name}",
                {"rows": rows, "checked_at": last.checked_at.isoformat()},
            )
            for name, rows in last.failed.items()
            if name not in OF_BUCKETS
        ]
    return lasting("ledger_drift", breaches)


def ledger_slack(now: datetime) -> Verdict:
    """What calls used beyond what was held for them, of what was posted in the last hour."""
    recent = Posting.objects.filter(entry__created_at__gte=now - timedelta(hours=1))
    breaches = []
    for unit, over, posted, calls in recent.values_list("bucket__unit").annotate(
        Sum("over"), Sum("amount"), Count("entry_id")
    ):
        if calls >= settings.ALERT_MIN_CALLS and posted > 0:
            percent = 100 * over / posted
            if percent > settings.ALERT_SLACK_PERCENT:
                detail = {"over": over, "posted": posted, "limit_percent": settings.ALERT_SLACK_PERCENT}
                title = f"Calls run over their holds by {percent:.2f} % ({unit})"
                breaches.append(Breach("ledger_slack", unit, title, detail))
    return lasting("ledger_slack", breaches)


def silence(now: datetime, *, since: datetime | None = None) -> Verdict:
    """Parts that have not done their work for ALERT_SILENCE_SECONDS, as far as this process can tell."""
    limit = settings.ALERT_SILENCE_SECONDS
    beaten = dict(Pulse.objects.values_list("name", "beaten_at"))
    breaches = []
    for name, words in PARTS.items():
        last = max(beaten.get(name, since or STARTED_AT), since or STARTED_AT)
        silent_seconds = (now - last).total_seconds()
        if silent_seconds > limit:
            detail: dict[str, Any] = {"silent_seconds": round(silent_seconds), "limit_seconds": limit}
            if name in beaten:
                detail["last_at"] = beaten[name].isoformat()
            title = f"{words} has been silent for {round(silent_seconds)} s"
            breaches.append(Breach("silence", name, title, detail))
    # A process that has just started has not listened for long enough to say that a part is there.
    heard = {name for name, at in beaten.items() if (now - at).total_seconds() <= limit}
    return lasting("silence", breaches, heard)


def _amount(units: int, unit: str) -> str:
    return f"{units:,} tokens" if unit == "tokens" else f"${usd(units)}"
