"""Why the ledger refuses.

BillingError
├── BudgetExceeded    a hard budget has no room for even the shortest useful answer
│   └── BucketSuspended   its books are being looked into: it admits nothing until they are right
├── PriceUnknown      a hard money budget applies and the model has no price
├── HoldConflict      the same idempotency key with another request
├── HoldStateError    settling a hold that was never dispatched
└── InvalidAmount     limits, prices, zones and names that cannot be (also a ValueError)
    └── PriceChangeTooLarge   a price that moves more than tenfold, unless confirmed
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


class BillingError(Exception):
    code = "billing_error"


@dataclass(frozen=True, slots=True)
class BudgetName:
    """Which budget it was. ``scope_id`` is opaque text, ``model`` None means all models."""

    scope: str
    scope_id: str
    unit: str
    period: str
    model: str | None


class BudgetExceeded(BillingError):
    """Nothing was taken and nothing may be sent. Amounts are in the budget's unit.

    ``fits_output_tokens`` is the longest answer that would fit with this input (0 = none does);
    ``needed`` is what the input and the shortest useful answer take; ``resets_at`` is None for budgets
    without period.
    """

    code = "budget_exceeded"

    def __init__(
        self,
        *,
        budget: BudgetName,
        limit_version: int,
        limit: int,
        used: int,
        held: int,
        needed: int,
        fits_output_tokens: int,
        resets_at: datetime | None,
    ) -> None:
        super().__init__(f"{budget.scope} budget of {limit} {budget.unit} per {budget.period} is exceeded")
        self.budget = budget
        self.limit_version = limit_version
        self.limit = limit
        self.used = used
        self.held = held
        self.needed = needed
        self.fits_output_tokens = fits_output_tokens
        self.resets_at = resets_at


class BucketSuspended(BudgetExceeded):
    """The sums of a hard budget's running period differ from its lines, so what is left is not known."""


class PriceUnknown(BillingError):
    code = "price_unknown"

    def __init__(self, *, model: str, budget: BudgetName) -> None:
        super().__init__(f"{model} has no price, so a hard {budget.scope} budget in money cannot admit it")
        self.model = model
        self.budget = budget


class HoldConflict(BillingError):
    code = "id_conflict"

    def __init__(self, key: str) -> None:
        super().__init__(f"the key {key} was used for another request")
        self.key = key


class HoldStateError(BillingError):
    code = "hold_state"


class InvalidAmount(BillingError, ValueError):
    code = "invalid_amount"


class PriceChangeTooLarge(InvalidAmount):
    code = "price_change_too_large"
