"""What the call of a summary holds."""

from __future__ import annotations

import uuid

from billing.holds import HoldRequest
from conversations.condensing import SHORTEST_TOKENS, SummaryPlan
from llm.profiles import Profile
from llm.tokens import estimate_upper

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
    input_tokens = estimate_upper(plan.input_tokens, profile.estimate_percent)
    wanted = plan.request.max_output_tokens
    return HoldRequest(
        key=f"summary:{summary_id}",
        fingerprint=f"{profile.model_id}:{input_tokens}:{wanted}",
        user_id=user_id,
        conversation_id=conversation_id,
        generation_id=summary_id,
        attempt=1,
        purpose="summary",
        model=profile.model_id,
        input_tokens=input_tokens,
        wanted_output_tokens=wanted,
        minimum_output_tokens=min(SHORTEST_TOKENS, wanted),
        lease_seconds=QUEUE_LEASE_SECONDS,
    )
