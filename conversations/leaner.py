"""Smaller contexts that would let a refused message through: without older messages, or with a summary."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.holds import HoldRequest
from billing.previews import fit_in_turn, preview_hold
from billing.receipts import usd
from conversations.condensing import SummaryPlan, plan_summary
from conversations.context import build_context
from conversations.exchanges import History, SummaryText
from conversations.models.ids import new_id
from conversations.summary_holds import summary_hold
from llm.messages import ChatRequest
from llm.profiles import Profile, list_profiles
from llm.tokens import estimate_input_tokens

WITHOUT_HISTORY = {"action": "without_history", "label": "Send without older messages"}
SUMMARISE = {"action": "summarise", "label": "Summarise older messages, then send"}
# One token for every encoding in use: stands for the words of a summary that is not written yet.
ANY_WORD = " word"


def fits(request: HoldRequest, now: datetime) -> bool:
    return preview_hold(request, now=now).output_cap_tokens is not None


def smaller_contexts(
    request: HoldRequest, chat: ChatRequest, profile: Profile, history: History | None, now: datetime
) -> Iterator[dict[str, Any]]:
    """``history`` None: only leaving it out comes into question."""
    last = max(index for index, message in enumerate(chat.messages) if message.role == "user")
    if last > 0:
        alone = replace(chat, messages=chat.messages[last:])
        tokens = profile.estimate.upper(estimate_input_tokens(alone, profile.encoding))
        if fits(replace(request, input_tokens=min(tokens, request.input_tokens)), now):
            yield WITHOUT_HISTORY
    if history is not None:
        yield from _summarised(request, chat.system, chat.messages[last].text, profile, history, now)


def _summarised(
    request: HoldRequest, system: str, question: str, profile: Profile, history: History, now: datetime
) -> Iterator[dict[str, Any]]:
    """By the cheapest model whose summary, at its longest, leaves the budgets enough for this message.

    Where one budget pays for both by the token, none does: a summary reads what it replaces.
    """
    found = []
    for other in (profile, *(one for one in list_profiles() if one.model_id != profile.model_id)):
        plan = plan_summary(history, other)
        if plan is None:
            continue
        call = summary_hold(plan, other, user_id=request.user_id, conversation_id=request.conversation_id)
        after = context_after(plan, history, system, question, profile, request.wanted_output_tokens)
        then = replace(request, input_tokens=after)
        if after < request.input_tokens and fit_in_turn(call, then, now=now):
            found.append((preview_hold(call, now=now).cost_nanousd or 0, other.model_id))
    if found:
        cost, model_id = min(found)
        yield {**SUMMARISE, "summary_model": model_id, "cost_usd": usd(cost)}


def context_after(
    plan: SummaryPlan, history: History, system: str, question: str, profile: Profile, wanted_tokens: int
) -> int:
    """The input that the question would have with the planned summary at its longest, as it is held."""
    words = ANY_WORD * plan.request.max_output_tokens
    context = build_context(
        history=replace(history, summary=SummaryText(new_id(), words, plan.begin, plan.end)),
        question=question,
        system=system,
        profile=profile,
        temperature=None,
        max_output_tokens=wanted_tokens,
    )
    return profile.estimate.upper(context.input_tokens)
