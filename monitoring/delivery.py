"""Delivering notices: claimed, sent, marked. What fails or dies in between is sent again."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from monitoring.channels import DeliveryFailed, message_of, send
from monitoring.models import Notice

logger = logging.getLogger(__name__)

# After each failure it waits longer; then it is given up, and the incident's page says so.
PAUSES_SECONDS = (15, 60, 300, 900, 1800, 3600, 3600, 3600)
CLAIM_SECONDS = 60
LIMIT = 50


def deliver_pending(*, now: datetime | None = None) -> int:
    """Send what is due. Returns how many were taken by their channels."""
    now = now or timezone.now()
    earlier = Notice.objects.filter(
        incident=OuterRef("incident"),
        channel=OuterRef("channel"),
        pk__lt=OuterRef("pk"),
        notified_at=None,
        tries__lte=len(PAUSES_SECONDS),
    )
    due = _due(now).filter(~Exists(earlier)).select_related("incident").order_by("pk")[:LIMIT]
    return sum(_deliver(notice, now) for notice in due)


def _due(now: datetime) -> QuerySet[Notice]:
    return Notice.objects.filter(
        Q(claimed_until=None) | Q(claimed_until__lte=now),
        notified_at=None,
        tries__lte=len(PAUSES_SECONDS),
    )


def _deliver(notice: Notice, now: datetime) -> bool:
    claimed = (
        _due(now)
        .filter(pk=notice.pk)
        .update(claimed_until=now + timedelta(seconds=CLAIM_SECONDS), tries=F("tries") + 1)
    )
    if not claimed:
        return False
    own = Notice.objects.filter(pk=notice.pk)
    try:
        send(notice.channel, message_of(notice))
    except Exception as error:
        # Whatever one notice cannot be sent for must not keep the others back.
        if not isinstance(error, DeliveryFailed):
            logger.exception("an alert could not be sent")
        pause = PAUSES_SECONDS[min(notice.tries, len(PAUSES_SECONDS) - 1)]
        own.update(last_error=str(error)[:200], claimed_until=now + timedelta(seconds=pause))
        logger.warning(
            "an alert could not be delivered", extra={"channel": notice.channel, "why": str(error)}
        )
        return False
    own.update(notified_at=timezone.now(), last_error="")
    return True
