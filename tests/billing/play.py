"""Moves in the ledger's game, with defaults, for the tests of billing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from billing import books, budgets, grants, holds, prices
from billing.models import Bucket, Budget, Grant, Hold, LedgerEntry
from billing.usage import UsageCounts

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
MODEL = "acme:friendly"
# $0.10 and $0.40 per million tokens: 100 and 400 nano-USD a token.
INPUT_PICOUSD, OUTPUT_PICOUSD = 100_000, 400_000
CONVERSATION = UUID("00000000-0000-4000-8000-0000000000c1")


def price(
    model: str = MODEL, input_picousd: int = INPUT_PICOUSD, output_picousd: int = OUTPUT_PICOUSD
) -> int:
    """Give a model a price that holds since long; returns the version's id."""
    rows = prices.set_price(
        model=model,
        tiers=[prices.TierPrice(input_picousd, output_picousd)],
        valid_from=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return rows[0].pk


def request(user_id: int = 1, **changes: Any) -> holds.HoldRequest:
    values: dict[str, Any] = {
        "key": str(uuid4()),
        "fingerprint": "f",
        "user_id": user_id,
        "conversation_id": CONVERSATION,
        "generation_id": uuid4(),
        "attempt": 1,
        "purpose": "answer",
        "model": MODEL,
        "input_tokens": 100,
        "wanted_output_tokens": 400,
        "minimum_output_tokens": 50,
        "lease_seconds": 30.0,
    }
    return holds.HoldRequest(**{**values, **changes})


def place(user_id: int = 1, *, now: datetime = NOON, **changes: Any) -> Hold:
    return holds.place_hold(request(user_id, **changes), now=now)


def dispatched(user_id: int = 1, *, now: datetime = NOON, **changes: Any) -> Hold:
    hold = place(user_id, now=now, **changes)
    assert holds.dispatch_hold(hold.pk, now=now)
    return hold


def settle(hold: Hold, input_tokens: int, output_tokens: int, **changes: Any) -> holds.Settlement:
    values: dict[str, Any] = {"estimated": False, "now": NOON, **changes}
    usage = values.pop("usage", UsageCounts(input_uncached=input_tokens, output_visible=output_tokens))
    return holds.settle_hold(hold.pk, usage=usage, **values)


def spend(user_id: int = 1, tokens: int = 500, *, now: datetime = NOON, **changes: Any) -> LedgerEntry:
    """A whole call that uses exactly what it held, ``tokens`` in all."""
    output = tokens - min(100, tokens // 2)
    hold = dispatched(
        user_id,
        now=now,
        input_tokens=tokens - output,
        wanted_output_tokens=output,
        minimum_output_tokens=1,
        **changes,
    )
    assert hold.output_cap_tokens == output
    entry = settle(hold, tokens - output, output, now=now).entry
    assert entry is not None
    return entry


def budget(limit: int | None, *, scope: str = "user", scope_id: Any = 1, **changes: Any) -> Budget:
    values: dict[str, Any] = {"unit": "tokens", "period": "day", "now": NOON, **changes}
    if scope == "everyone":
        scope_id = None
    return budgets.set_budget(scope=scope, scope_id=scope_id, limit_units=limit, **values)


def bucket(of: Budget) -> Bucket:
    """The budget's one bucket."""
    return Bucket.objects.get(budget=of)


def user_bucket(user_id: int = 1) -> Bucket:
    """The bucket of the tokens per day that every plan has."""
    return Bucket.objects.get(
        budget__scope_kind="user", budget__scope_id=str(user_id), budget__unit="tokens", budget__period="day"
    )


def grant(of: Budget, units: int = 500) -> Grant:
    return grants.grant_units(budget=of, units=units, key="one", now=NOON)


def broken() -> list[str]:
    """Names of the invariants that do not hold; a right ledger has none."""
    return books_broken(NOON)


def books_broken(now: datetime) -> list[str]:
    return [finding.invariant.name for finding in books.check_books(now=now) if not finding.ok]
