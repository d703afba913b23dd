"""What a call used, as the ledger counts it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from billing.errors import InvalidAmount
from billing.models import MAX_CALL_TOKENS


@dataclass(frozen=True, slots=True)
class UsageCounts:
    """Disjoint token counts of one call: no token is in two of them.

    Raises InvalidAmount for a negative count or more than ``MAX_CALL_TOKENS`` in all.
    """

    input_uncached: int = 0
    cache_read: int = 0
    cache_write: int = 0
    tool_prompt: int = 0
    output_visible: int = 0
    thinking: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            count = getattr(self, field.name)
            if type(count) is not int or count < 0:
                raise InvalidAmount(f"{field.name} must be a whole number of tokens, not {count!r}")
        if self.total > MAX_CALL_TOKENS:
            raise InvalidAmount(f"{self.total} tokens in one call are beyond belief")

    @property
    def input_total(self) -> int:
        return self.input_uncached + self.cache_read + self.cache_write + self.tool_prompt

    @property
    def output_total(self) -> int:
        return self.output_visible + self.thinking

    @property
    def total(self) -> int:
        return self.input_total + self.output_total

    def as_tuple(self) -> tuple[int, int, int, int, int, int]:
        """In the order of ``models.TOKEN_COLUMNS``."""
        return (
            self.input_uncached,
            self.cache_read,
            self.cache_write,
            self.tool_prompt,
            self.output_visible,
            self.thinking,
        )
