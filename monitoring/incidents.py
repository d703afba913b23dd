"""Verbs on incidents: open what is newly wrong, close what is over. Any number of processes may watch."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from monitoring import call_rules, site_rules
from monitoring.channels import configured_channels
from monitoring.findings import Breach, Verdict
from monitoring.models import Incident, Notice, NoticeKind

logger = logging.getLogger(__name__)

# What was not seen for so long is over, even where nothing says so: the model may be gone.
FORGET_AFTER = timedelta(days=1)


def watch(*, now: datetime | None = None) -> list[Incident]:
    """Judge everything and keep the incidents up to date. Returns those opened or closed by this call."""
    now = now or timezone.now()
    return reconcile(verdicts(now), now=now)


def watch_silence(*, now: datetime | None = None) -> list[Incident]:
    """Only whether worker and sweeper are there: what a web process can tell when they are not."""
    now = now or timezone.now()
    return reconcile([site_rules.silence(now)], now=now)


def verdicts(now: datetime) -> list[Verdict]:
    since = now - timedelta(seconds=settings.ALERT_WINDOW_SECONDS)
    tallies = call_rules.read_window(since)
    return [
        call_rules.error_rate(tallies),
        call_rules.code_rates(tallies),
        call_rules.slow_first_token(tallies, since),
        call_rules.rate_limits(now),
        *call_rules.at_once(since),
        site_rules.site_budgets(now),
        site_rules.ledger_drift(),
        site_rules.ledger_slack(now),
        site_rules.silence(now),
    ]


def reconcile(judged: Iterable[Verdict], *, now: datetime) -> list[Incident]:
    changed = []
    for verdict in judged:
        open_ones = {one.subject: one for one in Incident.objects.filter(rule=verdict.rule, closed_at=None)}
        for breach in verdict.breaches:
            known = open_ones.get(breach.subject)
            if known is not None:
                _see_again(known, breach, now)
            elif (opened := _open(breach, now)) is not None:
                changed.append(opened)
        for incident in open_ones.values():
            if _is_over(incident, verdict, now) and _close(incident, now):
                changed.append(incident)
    return changed


def _see_again(incident: Incident, breach: Breach, now: datetime) -> None:
    incident.seen_at = max(incident.seen_at, breach.seen_at or now)
    Incident.objects.filter(pk=incident.pk, closed_at=None).update(
        seen_at=incident.seen_at, detail=breach.detail
    )


def _open(breach: Breach, now: datetime) -> Incident | None:
    """None: another process was first, or what was seen belongs to an incident that is over."""
    seen_at = breach.seen_at or now
    earlier = Incident.objects.filter(rule=breach.rule, subject=breach.subject)
    if earlier.filter(seen_at__gte=seen_at).exists():
        return None
    try:
        with transaction.atomic():
            incident = Incident.objects.create(
                rule=breach.rule,
                subject=breach.subject[:200],
                title=breach.title[:200],
                detail=breach.detail,
                opened_at=now,
                seen_at=seen_at,
            )
            _announce(incident, NoticeKind.OPENED, now)
    except IntegrityError:
        return None
    return incident


def _is_over(incident: Incident, verdict: Verdict, now: datetime) -> bool:
    quiet = now - incident.seen_at
    if quiet >= FORGET_AFTER:
        return True
    return quiet >= timedelta(seconds=settings.ALERT_RECOVERY_SECONDS) and verdict.recovered(
        incident.subject, incident.seen_at
    )


def _close(incident: Incident, now: datetime) -> bool:
    with transaction.atomic():
        won = Incident.objects.filter(pk=incident.pk, closed_at=None).update(closed_at=now)
        if won:
            incident.closed_at = now
            _announce(incident, NoticeKind.RECOVERED, now)
    return bool(won)


def _announce(incident: Incident, kind: NoticeKind, now: datetime) -> None:
    Notice.objects.bulk_create(
        Notice(incident=incident, kind=kind, channel=channel, created_at=now)
        for channel in configured_channels()
    )
