"""What a rule says: what is wrong now, and what may be taken for over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SITE = "site"


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing that is wrong. ``seen_at`` is when it last was, for what happens rather than lasts."""

    rule: str
    subject: str
    title: str
    detail: dict[str, Any] = field(default_factory=dict)
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """``recovered(subject, seen_at)``: whether an incident about this subject may be closed."""

    rule: str
    breaches: list[Breach]
    recovered: Callable[[str, datetime], bool]


def lasting(rule: str, breaches: list[Breach], judged: Collection[str] | None = None) -> Verdict:
    """A verdict about a state: what is judged and not breached is over. ``judged`` None: everything is."""
    wrong = {breach.subject for breach in breaches}

    def recovered(subject: str, seen_at: datetime) -> bool:
        return subject not in wrong and (judged is None or subject in judged)

    return Verdict(rule, breaches, recovered)
