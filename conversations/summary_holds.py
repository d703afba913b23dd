"""What the call of a summary holds."""

from __future__ import annotations

import uuid

from billing.holds import HoldRequest
from conversations.condensing import SHORTEST_TOKENS, SummaryPlan
from llm.profiles import Profile

# Covers the time between the hold and the claim.
QUEUE_LEASE_SECONDS = 60.0
NOT_STORED = uuid.UUID(int=0)


def summary_hold(
    plan: SummaryPlan,
    profile: Profile,
    *,
    user_id: int,
    conversation_id: uuid.UUID,
    summary_id: uuid.UUID = NOT_STORED,
) -> HoldRequest:
    return attempt_hold(
        profile,
        input_estimate_tokens=plan.input_tokens,
        wanted=plan.request.max_output_tokens,
        user_id=user_id,
        conversation_id=conversation_id,
        summary_id=summary_id,
    )


def attempt_hold(
    profile: Profile,
    *,
    input_estimate_tokens: int,
    wanted: int,
    user_id: int,
    conversation_id: uuid.UUID,
    summary_id: uuid.UUID,
    attempt: int = 1,
    wait_seconds: float = 0.0,
) -> HoldRequest:
    """Each attempt has a hold of its own; that of a later one outlives the wait for it."""
    input_tokens = profile.estimate.upper(input_estimate_tokens)
    return HoldRequest(
        key=f"summary:{summary_id}" if attempt == 1 else f"summary:{summary_id}:{attempt}",
        fingerprint=f"{profile.model_id}:{input_tokens}:{wanted}",
        user_id=user_id,
        conversation_id=conversation_id,
        generation_id=summary_id,
        attempt=attempt,
        purpose="summary",
        model=profile.model_id,
        input_tokens=input_tokens,
        wanted_output_tokens=wanted,
        minimum_output_tokens=min(SHORTEST_TOKENS, wanted),
        lease_seconds=wait_seconds + QUEUE_LEASE_SECONDS,
    )
