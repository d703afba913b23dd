"""The ledger as a small model in memory: what the database must agree with after every step.

Deliberately naive: lists are scanned, the longest fitting answer is searched for, nothing is shared with
``billing`` but where periods begin (which has tests of its own).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from billing.periods import next_bounds


def ceil_nanousd(picousd: int) -> int:
    return (picousd + 999) // 1000


@dataclass
class ModelGrant:
    remaining: int
    expires_at: datetime | None
    priority: int
    number: int

    @property
    def order(self) -> tuple[float, int, int]:
        return (self.expires_at.timestamp() if self.expires_at else float("inf"), self.priority, self.number)


@dataclass
class ModelBucket:
    start: datetime
    end: datetime | None
    zone: str
    limit: int | None
    hard: bool
    posted: int = 0
    held: int = 0
    slack: int = 0
    draws: dict[int, int] = field(default_factory=dict)

    @property
    def full(self) -> int | None:
        return None if self.limit is None else self.limit + sum(self.draws.values())


@dataclass
class ModelBudget:
    scope: str
    unit: str
    period: str
    limit: int | None
    hard: bool
    zone: str
    created_at: datetime
    closed_at: datetime | None = None
    buckets: list[ModelBucket] = field(default_factory=list)
    grants: dict[int, ModelGrant] = field(default_factory=dict)

    def bucket(self, now: datetime) -> ModelBucket:
        begun = sorted((b for b in self.buckets if b.start <= now), key=lambda b: b.start)
        if begun and (begun[-1].end is None or begun[-1].end > now):
            return begun[-1]
        start, end = next_bounds(
            self.period,
            self.zone,
            now,
            previous_end=begun[-1].end if begun else None,
            previous_zone=begun[-1].zone if begun else "",
        )
        for other in self.buckets:
            if other.start > start and end is not None and other.start < end:
                end = other.start
        self.buckets.append(ModelBucket(start, end, self.zone, self.limit, self.hard))
        return self.buckets[-1]

    def active(self, now: datetime) -> bool:
        return self.closed_at is None or self.closed_at > now

    def live_grants(self, now: datetime) -> list[ModelGrant]:
        live = [g for g in self.grants.values() if g.expires_at is None or g.expires_at > now]
        return sorted(live, key=lambda g: g.order)

    def remaining(self, now: datetime) -> int | None:
        """None = it cannot refuse."""
        bucket = self.bucket(now)
        if not bucket.hard or bucket.full is None:
            return None
        pool = sum(grant.remaining for grant in self.live_grants(now))
        return bucket.full + pool - bucket.posted - bucket.held

    def take(self, amount: int, now: datetime) -> ModelBucket:
        bucket = self.bucket(now)
        if bucket.hard and bucket.full is not None:
            short = amount - (bucket.full - bucket.posted - bucket.held)
            for grant in self.live_grants(now):
                part = min(max(short, 0), grant.remaining)
                grant.remaining -= part
                bucket.draws[grant.number] = bucket.draws.get(grant.number, 0) + part
                short -= part
        bucket.held += amount
        return bucket

    def give_surplus(self, bucket: ModelBucket) -> None:
        if bucket.full is None:
            return
        surplus = max(0, bucket.full - bucket.posted - bucket.held)
        for number in sorted(bucket.draws, key=lambda n: self.grants[n].order, reverse=True):
            part = min(surplus, bucket.draws[number])
            bucket.draws[number] -= part
            self.grants[number].remaining += part
            surplus -= part

    def change_limit(self, limit: int | None, hard: bool, now: datetime) -> None:
        if (limit, hard) != (self.limit, self.hard):
            self.limit, self.hard = limit, hard
            for bucket in self.buckets:
                if bucket.end is None or bucket.end > now:
                    bucket.limit, bucket.hard = limit, hard
                    if hard and bucket.full is not None:
                        bucket.slack += max(0, bucket.posted + bucket.held - bucket.slack - bucket.full)
        self.closed_at = None


@dataclass
class ModelPrice:
    start: datetime
    end: datetime | None
    input: int
    output: int

    def cost(self, input_tokens: int, output_tokens: int) -> int:
        return ceil_nanousd(input_tokens * self.input + output_tokens * self.output)


@dataclass
class ModelHold:
    input: int
    cap: int
    price: ModelPrice | None
    lines: list[tuple[ModelBudget, ModelBucket, int]]
    lease: datetime
    state: str = "open"
    checkpoint: int = 0
    used: tuple[int, int] = (0, 0)
    bearer: str = ""
    estimated: bool = False
    refunded: bool = False
    trued: tuple[int, int] | None = None

    def units(self, unit: str, used: tuple[int, int]) -> int:
        if unit == "tokens":
            return sum(used)
        return 0 if self.price is None else self.price.cost(*used)

    def settle(self, used: tuple[int, int], bearer: str, estimated: bool) -> None:
        self.state, self.used, self.bearer, self.estimated = "settled", used, bearer, estimated
        for budget, bucket, amount in self.lines:
            bucket.held -= amount
            if bearer == "user" or budget.scope == "everyone":
                actual = self.units(budget.unit, used)
                bucket.posted += actual
                bucket.slack += max(0, actual - amount)
            budget.give_surplus(bucket)

    def close(self, state: str) -> None:
        self.state = state
        for budget, bucket, amount in self.lines:
            bucket.held -= amount
            budget.give_surplus(bucket)

    def correct(self, sign_of: int, before: tuple[int, int], after: tuple[int, int]) -> None:
        """Post the difference between two usages to whatever the first one was posted to."""
        for budget, bucket, _ in self.lines:
            if self.bearer == "user" or budget.scope == "everyone":
                difference = sign_of * (self.units(budget.unit, after) - self.units(budget.unit, before))
                bucket.posted += difference
                bucket.slack += max(0, difference)
                budget.give_surplus(bucket)
