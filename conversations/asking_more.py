"""What a person can do about the limit that refuses a message: ask for a higher one, or change one's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from billing.errors import BucketSuspended, BudgetExceeded
from billing.holds import HoldRequest
from billing.limit_requests import suggestion
from billing.models import ScopeKind, Unit
from billing.receipts import usd


def ask_option(error: BudgetExceeded, request: HoldRequest, now: datetime) -> dict[str, Any] | None:
    """The option that opens the request with what this message needs in it; None where there is none."""
    if isinstance(error, BucketSuspended):
        return None
    if error.budget.scope == ScopeKind.OWN:
        return {"action": "own_limit", "label": "Change your own limit", "url": f"{reverse('usage')}#budgets"}
    found = suggestion(error, request, now=now)
    if found is None:
        return None
    wanted = amount_field(found.wanted_units, found.budget.unit)
    query = urlencode({"wanted": wanted, "conversation": str(request.conversation_id)})
    return {
        "action": "ask_more",
        "label": "Ask for a higher limit",
        "budget_id": found.budget.pk,
        "wanted": wanted,
        "url": f"{reverse('ask_for_more', args=[found.budget.pk])}?{query}",
    }


def amount_field(units: int, unit: str) -> str:
    """An amount as a form takes it: tokens, or dollars."""
    return (usd(units) or "") if unit == Unit.NANOUSD else str(units)
