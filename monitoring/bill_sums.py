"""What a billing file says, as sums per day and model. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

NANO = 10**9


@dataclass(frozen=True, slots=True)
class BillSum:
    """What the provider counted for one of its models, from one of its days to another (both inclusive; most
    files tell single days). None: the file does not say. ``input_tokens`` include cached ones.
    """

    day: date
    last_day: date
    model: str
    requests: int | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanousd: int | None = None

    def __add__(self, other: BillSum) -> BillSum:
        """Together, over all days between the first and the last of both."""
        return replace(
            self,
            day=min(self.day, other.day),
            last_day=max(self.last_day, other.last_day),
            requests=_both(self.requests, other.requests),
            input_tokens=_both(self.input_tokens, other.input_tokens),
            cached_tokens=_both(self.cached_tokens, other.cached_tokens),
            output_tokens=_both(self.output_tokens, other.output_tokens),
            cost_nanousd=_both(self.cost_nanousd, other.cost_nanousd),
        )


def _both(one: int | None, two: int | None) -> int | None:
    return one if two is None else two if one is None else one + two


def added_up(lines: Iterable[BillSum]) -> tuple[BillSum, ...]:
    """One sum per model and day; a model with a line over several days has one sum over all of its days."""
    found: dict[tuple[str, date | None], BillSum] = {}
    lines = list(lines)
    spread = {one.model for one in lines if one.last_day > one.day}
    for one in lines:
        key = (one.model, None if one.model in spread else one.day)
        found[key] = found[key] + one if key in found else one
    return tuple(sorted(found.values(), key=lambda one: (one.day, one.model)))


_DATED = re.compile(r"-(?:\d{3,8}|\d{4}-\d\d-\d\d|latest|preview.*)")


def match_model(name: str, provider: str, known: Sequence[str]) -> str | None:
    """The model id that a provider's name means: the longest known one that it is, or is a dated form of, or
    the other way round (a bill calls a preview by its plain name).
    """
    fitting = []
    for model in known:
        whose, _, bare = model.lower().partition(":")
        if whose == provider and name and bare and (_is_form_of(name, bare) or _is_form_of(bare, name)):
            fitting.append(model)
    return max(fitting, key=len, default=None)


def _is_form_of(name: str, bare: str) -> bool:
    rest = name.removeprefix(bare)
    return name.startswith(bare) and (not rest or _DATED.fullmatch(rest) is not None)
