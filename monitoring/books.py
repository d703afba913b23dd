"""The nightly check of all books, and the minute's check of those in use."""

from __future__ import annotations

import logging
import time

from django.utils import timezone

from billing import self_checks
from billing.books import check_books
from billing.models import Bucket
from monitoring.models import BooksCheck
from monitoring.site_rules import OF_BUCKETS

logger = logging.getLogger(__name__)

KEEP_CHECKS = 60
MOST_ROWS = 5


def check_touched() -> self_checks.SelfCheck:
    check = self_checks.check_touched()
    for drift in check.drifts:
        fields = {
            "bucket_id": drift.bucket_id,
            "posted": drift.posted,
            "held": drift.held,
            "slack": drift.slack,
        }
        logger.error("a bucket's sums differ from its lines", extra=fields)
    return check


def check_all() -> BooksCheck:
    """Every invariant over the whole ledger; buckets whose sums are wrong are closed as well."""
    started = time.monotonic()
    failed: dict[str, list[str]] = {}
    suspects: set[int] = set(Bucket.objects.filter(suspended_at__isnull=False).values_list("pk", flat=True))
    for finding in check_books():
        if finding.ok:
            continue
        failed[finding.invariant.name] = [str(row[0]) for row in finding.rows[:MOST_ROWS]]
        if finding.invariant.name in OF_BUCKETS:
            suspects |= {int(row[0]) for row in finding.rows}
    self_checks.check_buckets(sorted(suspects), whole=True)
    check = BooksCheck.objects.create(
        checked_at=timezone.now(), seconds=round(time.monotonic() - started, 3), failed=failed
    )
    old = BooksCheck.objects.order_by("-checked_at").values_list("pk", flat=True)[KEEP_CHECKS:]
    BooksCheck.objects.filter(pk__in=list(old)).delete()
    logger.info("books checked", extra={"failed": sorted(failed), "seconds": check.seconds})
    return check
