"""Usage that a provider reported after the books were closed with an estimate.

A process may stall past its lease and go on: the sweeper has settled its call as estimated, borne by the
house, and the process changes nothing of the answer any more. What it has learned of the call's usage is
true all the same, and the provider will bill it.
"""

from __future__ import annotations

import logging
import uuid
from datetime import datetime

from billing.entries import true_up
from billing.errors import InvalidAmount
from billing.models import LedgerEntry
from conversations.attempts import Claim, Outcome
from conversations.metering import believable, usage_counts

logger = logging.getLogger(__name__)


def true_up_late(hold_id: uuid.UUID, claim: Claim, outcome: Outcome, *, now: datetime) -> LedgerEntry | None:
    """Post the difference between the estimate that was settled and what the provider reported, once.

    None: the provider reported nothing whole, or there is no estimate to correct (not settled, or settled
    by a report). Who bears the call does not change.
    """
    usage = believable(outcome.usage)
    if usage is None or usage.input_tokens is None or usage.output_tokens is None:
        return None
    counts, estimated = usage_counts(
        usage,
        input_estimate_tokens=claim.input_estimate_tokens,
        text=outcome.text,
        encoding=claim.profile.encoding,
        output_cap_tokens=claim.output_cap_tokens,
    )
    if estimated:
        return None
    try:
        entry = true_up(
            hold_id,
            usage=counts,
            raw=usage.raw,
            reported_input_tokens=usage.input_tokens,
            reported_output_tokens=usage.output_tokens,
            now=now,
        )
    except InvalidAmount:
        # Refunded meanwhile: there is less to take back than the estimate was too high.
        logger.warning("late usage of hold %s does not fit its buckets any more", hold_id)
        return None
    if entry is not None:
        logger.info("late usage hold=%s tokens=%+d", hold_id, entry.total_tokens)
    return entry
