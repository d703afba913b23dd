"""Calls and limits as numbers: what a call takes from which limits of its model. Pure.

Limits belong to a key and a model: the same model under another key has limits of its own.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.utils.crypto import salted_hmac

from conversations.attempts import Claim
from llm.profiles import Profile, read_api_key
from llm.usage import Usage

PERIOD_SECONDS = 60.0
# Nine tenths of a limit are used: the provider's clock and its count of tokens are not ours.
USED_SHARE = 0.9
# These count the longest answer that a request asks for; the others count input only.
KINDS_COUNTING_OUTPUT = frozenset({"openai_compatible", "demo"})
# Google's days end at midnight in California.
DAY_ZONES = {"gemini": ZoneInfo("America/Los_Angeles")}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that somebody wants to make.

    ``ticket`` names it in the queue, the same each time it asks; ``asked_at`` is its seniority there.
    """

    ticket: uuid.UUID
    profile: Profile
    input_tokens: int
    output_cap_tokens: int
    asked_at: datetime

    @classmethod
    def of(cls, claim: Claim) -> Call:
        return cls(
            claim.generation_id,
            claim.profile,
            claim.input_estimate_tokens,
            claim.output_cap_tokens,
            claim.created_at,
        )

    @property
    def limited_tokens(self) -> int:
        """What the call may take at most of the tokens per minute."""
        if self.profile.provider.kind in KINDS_COUNTING_OUTPUT:
            return self.input_tokens + self.output_cap_tokens
        return self.input_tokens

    def used_tokens(self, usage: Usage | None) -> int | None:
        """What it has taken of them in the end; None where that is not known."""
        if usage is None or usage.input_tokens is None:
            return None
        if self.profile.provider.kind not in KINDS_COUNTING_OUTPUT:
            return usage.input_tokens
        return None if usage.output_tokens is None else usage.input_tokens + usage.output_tokens


def key_name(profile: Profile) -> str:
    """The provider and a mark of its key, from which the key cannot be told. A new key has a new name."""
    provider = profile.provider
    key = read_api_key(provider.api_key_env)
    if not key:
        # No key, so nothing is shared with other models (the demo model, a server of one's own).
        return profile.model_id
    return f"{provider.name}:{_mark(key)}"


@lru_cache(maxsize=64)
def _mark(key: str) -> str:
    return salted_hmac("conversations.admission", key, algorithm="sha256").hexdigest()[:16]


def provider_day(profile: Profile, now: datetime) -> tuple[str, float]:
    """The name of the provider's present day, and how many seconds of it are left."""
    zone = DAY_ZONES.get(profile.provider.kind, UTC)
    local = now.astimezone(zone)
    midnight = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), tzinfo=zone)
    return local.date().isoformat(), (midnight.astimezone(UTC) - now).total_seconds()
