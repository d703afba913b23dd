"""Settling the hold of a call: by what its provider reported, or for one whose process died."""

from __future__ import annotations

import uuid
from datetime import datetime

from billing.holds import Settlement, settle_hold
from conversations.metering import believable, usage_counts
from llm.profiles import encoding_of
from llm.usage import Usage


def settle_call(
    hold_id: uuid.UUID,
    *,
    usage: Usage | None,
    text: str,
    input_estimate_tokens: int,
    output_cap_tokens: int,
    encoding: str,
    bearer: str,
    kind: str = "",
    now: datetime,
) -> Settlement:
    """Charge what was reported; our own count of ``text`` and the estimate stand in for what was not."""
    reported = believable(usage)
    counts, estimated = usage_counts(
        reported,
        input_estimate_tokens=input_estimate_tokens,
        text=text,
        encoding=encoding,
        output_cap_tokens=output_cap_tokens,
    )
    return settle_hold(
        hold_id,
        usage=counts,
        estimated=estimated,
        bearer=bearer,
        raw=None if usage is None else usage.raw,
        reported_input_tokens=None if reported is None else reported.input_tokens,
        reported_output_tokens=None if reported is None else reported.output_tokens,
        kind=kind,
        now=now,
    )


def settle_lost(
    hold_id: uuid.UUID,
    *,
    model: str,
    text: str = "",
    input_estimate_tokens: int,
    output_cap_tokens: int,
    kind: str = "",
    now: datetime,
) -> Settlement:
    """Charge the house for a call whose process died; nobody knows what it used, so it is estimated."""
    counts, _ = usage_counts(
        None,
        input_estimate_tokens=input_estimate_tokens,
        text=text,
        encoding=encoding_of(model),
        output_cap_tokens=output_cap_tokens,
    )
    return settle_hold(hold_id, usage=counts, estimated=True, bearer="house", kind=kind, now=now)
