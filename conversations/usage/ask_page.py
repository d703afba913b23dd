"""What the page shows on which one asks for a higher limit."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from billing.accounts import payer
from billing.errors import InvalidAmount
from billing.models import Budget
from conversations.asking_more import amount_field
from conversations.models import Conversation
from conversations.usage.budget_rows import amount_text, budget_rows, read_amount


def ask_context(
    user: User, budget: Budget, query: Mapping[str, str], given: Mapping[str, str], *, now: datetime
) -> dict[str, Any] | None:
    """``query`` came with the link, ``given`` is in the fields. None for a budget that limits nothing."""
    zone = payer(user.pk, now=now).timezone
    rows = budget_rows(user_id=user.pk, zone=zone, now=now)
    row = next((one for one in rows if one.meter.budget_id == budget.pk), None)
    if row is None:
        return None
    suggested = _suggested(query.get("wanted", ""), budget)
    fields = {name: given.get(name, "").replace("\x00", "") for name in ("wanted", "reason")}
    asked = amount_field(row.request.wanted_units, budget.unit) if row.request and row.is_pending else ""
    return {
        "zone": zone,
        "row": row,
        "suggested": amount_text(row.meter, suggested) if suggested else "",
        "wanted": fields["wanted"] or asked,
        "reason": fields["reason"],
        "conversation": _own_conversation(user, query.get("conversation", "")),
    }


def _suggested(text: str, budget: Budget) -> int | None:
    try:
        units = read_amount(text, budget.unit)
    except InvalidAmount:
        return None
    return units if budget.limit_units is not None and units > budget.limit_units else None


def _own_conversation(user: User, text: str) -> uuid.UUID | None:
    try:
        key = uuid.UUID(text)
    except ValueError:
        return None
    return key if Conversation.objects.owned_by(user).filter(pk=key).exists() else None
