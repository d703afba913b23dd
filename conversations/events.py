"""Events: what the server tells clients. One function per event, each returns the JSON object.

Money is a decimal string in USD, times are ISO 8601 UTC, ids are UUIDs.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from billing.budgets import Meter
from billing.receipts import usd
from conversations.continuing import options_of, problem_of
from conversations.exceptions import Refusal
from conversations.models import Generation
from conversations.notes import notes_of
from conversations.receipts import Receipt
from conversations.standings import Begun, Standing

Event = dict[str, Any]


def iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def turn_accepted(turn_id: uuid.UUID, generation_id: uuid.UUID, estimate: dict[str, Any]) -> Event:
    return {
        "type": "turn.accepted",
        "turn_id": str(turn_id),
        "generation_id": str(generation_id),
        "estimate": estimate,
    }


def turn_refused(turn_id: uuid.UUID, refusal: Refusal) -> Event:
    event: Event = {
        "type": "turn.refused",
        "turn_id": str(turn_id),
        "code": refusal.code,
        "detail": refusal.detail,
        "options": refusal.options,
    }
    if refusal.resets_at is not None:
        event["resets_at"] = iso(refusal.resets_at)
    if refusal.estimate is not None:
        event["estimate"] = refusal.estimate
    return event


def generation_ended(generation: Generation, receipt: Receipt) -> Event:
    """The terminal event. It carries the whole text, so it also serves whoever missed every delta."""
    event: Event = {
        "type": f"generation.{generation.state}",
        "generation_id": str(generation.pk),
        "turn_id": str(generation.turn.turn_id),
        "seq": generation.seq,
        "text": generation.text,
        "html": generation.html,
        "finish_reason": generation.finish_reason,
        "receipt": receipt,
        "notes": notes_of(generation),
    }
    if (problem := problem_of(generation)) is not None:
        event["error"] = problem
    if options := options_of(generation):
        event["options"] = options
    return event


def budget_changed(meter: Meter) -> Event:
    return {
        "type": "budget.changed",
        "scope": meter.scope,
        "unit": "usd" if meter.is_money else "tokens",
        "period": meter.period,
        "model": meter.model,
        "used": _amount(meter, meter.used),
        "held": _amount(meter, meter.held),
        "limit": None if meter.limit is None else _amount(meter, meter.limit),
        "percent": meter.percent,
        "level": meter.level,
        "resets_at": iso(meter.resets_at),
    }


def _amount(meter: Meter, units: int) -> int | str | None:
    """Tokens, or US dollars as a decimal string."""
    return usd(units) if meter.is_money else units


def budgets_changed(meters: Sequence[Meter]) -> list[Event]:
    return [budget_changed(meter) for meter in meters]


def conversation_updated(conversation_id: uuid.UUID, change: str, **values: Any) -> Event:
    return {
        "type": "conversation.updated",
        "conversation_id": str(conversation_id),
        "change": change,
        **values,
    }


def turns_removed(
    conversation_id: uuid.UUID, turn_ids: Sequence[uuid.UUID], head_turn_id: uuid.UUID | None
) -> list[Event]:
    """Questions that are gone and, where their branch was shown, the end of the one shown instead."""
    told = [conversation_updated(conversation_id, "removed", turn_ids=[str(one) for one in turn_ids])]
    if head_turn_id is not None:
        told.append(branch_chosen(conversation_id, head_turn_id))
    return told


def branch_chosen(conversation_id: uuid.UUID, head_turn_id: uuid.UUID) -> Event:
    return conversation_updated(conversation_id, "branch", head_turn_id=str(head_turn_id))


def version_chosen(conversation_id: uuid.UUID, turn_id: uuid.UUID, generation_id: uuid.UUID) -> Event:
    return conversation_updated(
        conversation_id, "version", turn_id=str(turn_id), generation_id=str(generation_id)
    )


def conversation_head(conversation_id: uuid.UUID, standing: Standing, begun: Begun | None) -> Event:
    """Where it stands now, for a client that may have missed something: what it lacks, it asks for."""
    return conversation_updated(
        conversation_id,
        "head",
        head_turn_id=None if standing.head_turn_id is None else str(standing.head_turn_id),
        turn_id=None if begun is None else str(begun.turn_id),
        generation_id=None if begun is None else str(begun.generation_id),
        state=None if begun is None else begun.state,
        revision=standing.revision,
    )


def error(code: str, detail: str) -> Event:
    return {"type": "error", "code": code, "detail": detail}
