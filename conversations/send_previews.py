"""What the next question would take: the same context and the same rules as the send, nothing written."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from typing import Any

from django.utils import timezone

from billing.budgets import Meter
from billing.errors import BudgetExceeded
from billing.holds import HoldRequest
from billing.previews import Preview, preview_hold
from billing.receipts import usd
from conversations.choices import Version, choose_length, choose_profile, clean_text, require_continuable
from conversations.context import Context, ContextTooLong, build_context
from conversations.events import iso
from conversations.exceptions import Invalid
from conversations.exchanges import History
from conversations.history import history_before, history_of
from conversations.limits import CONFIRM_PERCENT
from conversations.models import Conversation, Turn
from conversations.outcomes import describe_refusal
from conversations.parts import Parts
from llm.profiles import Profile


@dataclass(frozen=True, slots=True)
class SendPreview:
    """``input_tokens`` as held; ``context`` what would be sent, counted here."""

    input_tokens: int
    wanted_output_tokens: int
    context: Context
    profile: Profile
    hold: Preview

    @property
    def parts(self) -> Parts:
        """What the input consists of, as held."""
        return self.context.parts.scaled(self.input_tokens)

    def data(self) -> dict[str, Any]:
        """As the page reads it. Amounts in tokens, or USD as a decimal string."""
        hold, refusal = self.hold, self.hold.refusal
        found: dict[str, Any] = {
            "input_tokens": self.input_tokens,
            "max_output_tokens": hold.output_cap_tokens or self.wanted_output_tokens,
            "is_cut": hold.output_cap_tokens not in (None, self.wanted_output_tokens),
            "cost_usd": None if refusal else usd(hold.cost_nanousd),
            "dropped_turns": self.context.dropped_turns,
            "breakdown": asdict(self.parts),
            "leaves": None if refusal else _leaves(hold.tightest, hold.remaining_after),
            "confirm": refusal is None and hold.percent_after >= CONFIRM_PERCENT,
            "refusal": None,
        }
        if isinstance(refusal, BudgetExceeded):
            detail = describe_refusal(refusal, timezone.now())
            # A period in which nothing was asked yet has no bucket: the meter knows its end.
            resets_at = refusal.resets_at or (hold.tightest.resets_at if hold.tightest else None)
            found["refusal"] = {"code": refusal.code, "detail": detail, "resets_at": iso(resets_at)}
        elif refusal is not None:
            detail = "The price of this model is not known, so a budget in money cannot allow it."
            found["refusal"] = {"code": refusal.code, "detail": detail, "resets_at": None}
        return found


def _leaves(tightest: Meter | None, remaining: int | None) -> dict[str, Any] | None:
    if tightest is None or remaining is None:
        return None
    left = max(remaining, 0)
    amount, unit = (usd(left), "usd") if tightest.is_money else (left, "tokens")
    return {"amount": amount, "unit": unit, "period": tightest.period, "scope": tightest.scope}


def preview_send(
    *,
    user_id: int,
    conversation: Conversation,
    text: str,
    model: str = "",
    max_output_tokens: int | None = None,
    history: bool = True,
) -> SendPreview:
    """Raises Invalid and Unavailable as the send would."""
    return preview_question(
        user_id=user_id,
        conversation=conversation,
        text=clean_text(text),
        model=model,
        max_output_tokens=max_output_tokens,
        history=history,
    )


def preview_question(
    *,
    user_id: int,
    conversation: Conversation,
    text: str,
    model: str = "",
    max_output_tokens: int | None = None,
    history: bool = True,
) -> SendPreview:
    """The same of a question that may still be empty."""
    profile = choose_profile(model, last=conversation.model, user_id=user_id)
    head = conversation.head_turn
    end_id, end_depth = (None, -1) if head is None else (head.pk, head.depth)
    before = history_of(conversation.pk, end_id, end_depth) if history else History()
    return _preview(user_id, conversation, before, text, profile, max_output_tokens)


def preview_version(
    *,
    user_id: int,
    turn: Turn,
    version: Version = "regenerate",
    model: str = "",
    max_output_tokens: int | None = None,
    history: bool = True,
) -> SendPreview:
    """What another version of this turn's answer would take; ``model`` empty: the one that was asked for.

    A retry and a continuation have their model already. Raises Invalid and Unavailable as ``start_version``.
    """
    chosen, partial_answer = turn.chosen, ""
    if version == "continue":
        chosen = require_continuable(chosen)
        partial_answer, asked = chosen.answer_text(), chosen.model
    else:
        asked = "" if chosen is None else chosen.asked_model or chosen.model
    if version == "regenerate":
        asked = model or asked
    profile = choose_profile(asked, last=turn.conversation.model, user_id=user_id)
    before = history_before(turn) if history else History()
    return _preview(
        user_id,
        turn.conversation,
        before,
        turn.text,
        profile,
        max_output_tokens,
        partial_answer=partial_answer,
    )


def _preview(
    user_id: int,
    conversation: Conversation,
    history: History,
    text: str,
    profile: Profile,
    max_output_tokens: int | None,
    *,
    partial_answer: str = "",
) -> SendPreview:
    wanted = choose_length(max_output_tokens, profile)
    try:
        context: Context = build_context(
            history=history,
            question=text,
            system=conversation.system_prompt,
            profile=profile,
            temperature=None,
            max_output_tokens=wanted,
            partial_answer=partial_answer,
        )
    except ContextTooLong as error:
        raise Invalid("context_too_long", "The message is too long for this model.") from error
    input_tokens = profile.estimate.upper(context.input_tokens)
    request = HoldRequest(
        key="preview",
        fingerprint="",
        user_id=user_id,
        conversation_id=conversation.pk,
        generation_id=uuid.UUID(int=0),
        attempt=1,
        purpose="answer",
        model=profile.model_id,
        input_tokens=input_tokens,
        wanted_output_tokens=wanted,
        minimum_output_tokens=min(profile.minimum_output_tokens, wanted),
        lease_seconds=1.0,
    )
    return SendPreview(input_tokens, wanted, context, profile, preview_hold(request))
