"""Checking the sums of buckets in use, and closing those whose sums are wrong until they are right.

A bucket's sums (posted, held, slack) are what admits calls; its lines (postings, hold lines, limit
changes) are the truth. Where they differ, what is left of the budget is not known, so the bucket admits
nothing, and only that bucket. Nothing is ever repaired here.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from billing import sql
from billing.models import Bucket

# A bucket with more postings than this is left to the nightly check of all books, unless it is suspended.
MOST_POSTINGS = 20_000
MOST_BUCKETS = 500

_TOUCHED = """
SELECT bucket_id FROM billing_posting p JOIN billing_ledgerentry e ON e.id = p.entry_id
  WHERE e.created_at >= %s
UNION SELECT l.bucket_id FROM billing_holdline l JOIN billing_hold h ON h.id = l.hold_id
  WHERE h.state IN ('open', 'dispatched')
"""
_SIZE = "SELECT COUNT(*) FROM (SELECT 1 FROM billing_posting WHERE bucket_id = %s LIMIT %s) counted"
# One statement: one snapshot, in which sums and lines belong together.
_SUMS = """
SELECT k.id, k.posted, k.held, k.slack,
  COALESCE((SELECT SUM(p.amount) FROM billing_posting p WHERE p.bucket_id = k.id), 0),
  COALESCE((SELECT SUM(l.amount) FROM billing_holdline l JOIN billing_hold h ON h.id = l.hold_id
    WHERE l.bucket_id = k.id AND h.state IN ('open', 'dispatched')), 0),
  COALESCE((SELECT SUM(p.over) FROM billing_posting p WHERE p.bucket_id = k.id), 0)
    + COALESCE((SELECT SUM(c.slack_added) FROM billing_limitchange c WHERE c.bucket_id = k.id), 0)
FROM billing_bucket k WHERE k.id = %s
"""


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a bucket's sums are from its lines; all 0 where they agree."""

    bucket_id: int
    posted: int
    held: int
    slack: int

    @property
    def is_none(self) -> bool:
        return self.posted == self.held == self.slack == 0


@dataclass(slots=True)
class SelfCheck:
    """What a pass found. ``skipped`` buckets are too large for it."""

    checked: int = 0
    skipped: int = 0
    drifts: tuple[Drift, ...] = ()
    lifted: int = 0


def touched_buckets(*, since: datetime) -> list[int]:
    """Buckets that were posted to since then, that living holds draw on, or that are suspended.

    Of very many some by chance, so that each has its turn within a few passes.
    """
    touched = [row[0] for row in sql.rows(_TOUCHED, [sql.time_in(since)])]
    if len(touched) > MOST_BUCKETS:
        touched = random.sample(touched, MOST_BUCKETS)
    return sorted({*touched, *_suspended()})


def _suspended() -> set[int]:
    return set(Bucket.objects.filter(suspended_at__isnull=False).values_list("pk", flat=True))


def drift_of(bucket_id: int) -> Drift | None:
    """None: there is no such bucket any more."""
    found = sql.rows(_SUMS, [bucket_id])
    if not found:
        return None
    _, posted, held, slack, line_posted, line_held, line_slack = found[0]
    return Drift(bucket_id, int(posted - line_posted), int(held - line_held), int(slack - line_slack))


def check_touched(*, now: datetime | None = None, within: timedelta = timedelta(minutes=2)) -> SelfCheck:
    """Check the buckets touched within this time: suspend those that drift, lift those that no longer do."""
    now = now or timezone.now()
    return check_buckets(touched_buckets(since=now - within), now=now)


def check_buckets(
    bucket_ids: Sequence[int], *, now: datetime | None = None, whole: bool = False
) -> SelfCheck:
    """Check these buckets; ``whole`` also those with many postings.

    One that is suspended is checked whatever its size: it refuses everything until it is found right.
    """
    now, check = now or timezone.now(), SelfCheck()
    drifts, suspended = [], _suspended()
    for bucket_id in bucket_ids:
        may_skip = not whole and bucket_id not in suspended
        if may_skip and sql.rows(_SIZE, [bucket_id, MOST_POSTINGS + 1])[0][0] > MOST_POSTINGS:
            check.skipped += 1
            continue
        drift = drift_of(bucket_id)
        if drift is None:
            continue
        check.checked += 1
        if drift.is_none:
            check.lifted += Bucket.objects.filter(pk=bucket_id, suspended_at__isnull=False).update(
                suspended_at=None
            )
        else:
            drifts.append(drift)
            with transaction.atomic():
                Bucket.objects.filter(pk=bucket_id, suspended_at__isnull=True).update(suspended_at=now)
    check.drifts = tuple(drifts)
    return check
