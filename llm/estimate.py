"""How much more a provider may count than we do."""

from __future__ import annotations

from dataclasses import dataclass

# What a server of which nothing is known may add to a prompt; the most that was seen is 29.
UNKNOWN_OVERHEAD_TOKENS = 40


@dataclass(frozen=True, slots=True)
class InputEstimate:
    """How many tokens a provider may count where we count so many: ``percent`` of ours and the overhead."""

    percent: int = 100
    overhead_tokens: int = 0

    def upper(self, counted_tokens: int) -> int:
        """What is held for an input, rounded up."""
        return -(-counted_tokens * self.percent // 100) + self.overhead_tokens

    def fitting(self, room_tokens: int) -> int:
        """The largest count whose upper estimate fits into ``room_tokens``; below 0 where nothing does."""
        return (room_tokens - self.overhead_tokens) * 100 // self.percent
