"""The limits of a provider, enforced as strictly as any does: in a sliding window."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field


@dataclass
class SlidingWindow:
    """What a provider has taken in the last ``period_seconds``, and how often it refused."""

    requests: int
    tokens: int = 10**12
    period_seconds: float = 60.0
    taken: deque[tuple[float, int]] = field(default_factory=deque)
    sizes: list[int] = field(default_factory=list)
    refused: int = 0

    def take(self, now: float, tokens: int) -> float | None:
        """None where the request is taken; else the seconds after which the oldest one leaves the window."""
        while self.taken and self.taken[0][0] <= now - self.period_seconds:
            self.taken.popleft()
        over = sum(amount for _, amount in self.taken) + tokens > self.tokens
        if len(self.taken) >= self.requests or over:
            self.refused += 1
            return self.taken[0][0] + self.period_seconds - now if self.taken else self.period_seconds
        self.taken.append((now, tokens))
        self.sizes.append(tokens)
        return None
