"""Near and beyond a limit: when a send must be confirmed, and what would let a refused one through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from billing.errors import BudgetExceeded, BudgetName
from billing.holds import HoldRequest
from billing.previews import Preview, preview_hold
from billing.receipts import usd
from conversations.asking_more import ask_option
from conversations.exceptions import Conflict
from conversations.exchanges import History
from conversations.leaner import fits, smaller_contexts
from conversations.models.ids import new_id
from conversations.outcomes import NEW_CONVERSATION, PERIODS, WHOSE, refusal_options
from llm.messages import ChatRequest
from llm.profiles import Profile, list_profiles
from llm.tokens import estimate_input_tokens

CONFIRM_PERCENT = 90
CONFIRM = {"action": "confirm", "label": "Send anyway"}
CANCEL = {"action": "cancel", "label": "Keep editing"}
MODELS_OFFERED = 2
SHORTEST_OFFERED_TOKENS = 32


def check_confirmation(nearest: tuple[int, BudgetName] | None, estimate: dict[str, Any]) -> None:
    """Raises Conflict ``confirm_required`` when the call may bring a hard budget near its end."""
    if needs_confirmation(nearest):
        assert nearest is not None
        percent, budget = nearest
        whose, period = WHOSE.get(budget.scope, "The"), PERIODS.get(budget.period, "budget")
        raise Conflict(
            "confirm_required",
            f"{whose} {period} may reach {percent} % with this answer, if it takes its full length.",
            options=[CONFIRM, CANCEL],
            estimate=estimate,
        )


def needs_confirmation(nearest: tuple[int, BudgetName] | None) -> bool:
    return nearest is not None and nearest[0] >= CONFIRM_PERCENT


def ways_out(
    error: BudgetExceeded,
    request: HoldRequest,
    chat: ChatRequest,
    profile: Profile,
    *,
    history: History | None,
    now: datetime,
) -> list[dict[str, Any]]:
    """The options of a refusal: only what would let this message through now, asking for more, and waiting.

    ``history`` is what could be summarised; None where the question does not follow what is shown.
    """
    options = [
        option
        for option in refusal_options(error)
        if option["action"] == "wait"
        or (option["action"] == "shorter_answer" and _is_useful(request, option["max_output_tokens"], now))
    ]
    at = sum(option["action"] == "shorter_answer" for option in options)
    options[at:at] = [
        *smaller_contexts(request, chat, profile, history, now),
        *_other_models(request, now),
        *_new_conversation(request, chat, profile, now),
    ]
    asking = ask_option(error, request, now)
    if asking is not None:
        options.insert(sum(option["action"] != "wait" for option in options), asking)
    return options


def _is_useful(request: HoldRequest, output_tokens: int, now: datetime) -> bool:
    shorter = replace(request, wanted_output_tokens=output_tokens, minimum_output_tokens=1)
    return output_tokens >= SHORTEST_OFFERED_TOKENS and fits(shorter, now)


def _other_models(request: HoldRequest, now: datetime) -> Iterator[dict[str, Any]]:
    """The cheapest models that the budgets would admit."""
    found: list[tuple[int, Profile, Preview]] = []
    for profile in list_profiles():
        if profile.model_id != request.model:
            wanted = min(profile.default_output_tokens, request.wanted_output_tokens)
            other = replace(
                request,
                model=profile.model_id,
                wanted_output_tokens=wanted,
                minimum_output_tokens=min(profile.minimum_output_tokens, wanted),
            )
            seen = preview_hold(other, now=now)
            if seen.output_cap_tokens is not None:
                found.append((seen.cost_nanousd or 0, profile, seen))
    for _, profile, seen in sorted(found, key=lambda one: one[0])[:MODELS_OFFERED]:
        cost = usd(seen.cost_nanousd)
        label = f"Use {profile.label}"
        yield {"action": "model", "label": label, "model": profile.model_id, "cost_usd": cost}


def _new_conversation(
    request: HoldRequest, chat: ChatRequest, profile: Profile, now: datetime
) -> Iterator[dict[str, Any]]:
    alone = replace(chat, system="", messages=tuple(one for one in chat.messages if one.role == "user")[-1:])
    tokens = profile.estimate.upper(estimate_input_tokens(alone, profile.encoding))
    if fits(replace(request, conversation_id=new_id(), input_tokens=min(tokens, request.input_tokens)), now):
        yield NEW_CONVERSATION
