"""The words for everything that can go wrong with an answer: code → text → what helps.

One closed table, used by events, pages and REST alike. Texts say what happened and what helps, never a
provider's own words.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from billing.errors import BucketSuspended, BudgetExceeded
from billing.receipts import usd

RETRY = {"action": "retry", "label": "Retry"}
CONTINUE = {"action": "continue", "label": "Continue"}
REGENERATE = {"action": "regenerate", "label": "Try another model"}
SHORTEN = {"action": "edit", "label": "Edit the question"}
NEW_CONVERSATION = {"action": "new_conversation", "label": "Start a new conversation"}

ERRORS: dict[str, tuple[str, tuple[dict[str, str], ...]]] = {
    "bad_request": ("The model could not take this request.", (SHORTEN, REGENERATE)),
    "context_too_long": (
        "This conversation is too long for the model.",
        (NEW_CONVERSATION, REGENERATE),
    ),
    "not_enabled": (
        "This model is not enabled for the service's account. The operators have been told.",
        (REGENERATE,),
    ),
    "not_available": ("This model is not available here.", (REGENERATE,)),
    "bad_credentials": ("The service is misconfigured. The operators have been told.", (REGENERATE,)),
    "model_gone": ("This model is no longer offered.", (REGENERATE,)),
    "rate_limited": ("The service is busy and did not free up in time.", (RETRY, REGENERATE)),
    "daily_quota": ("The service's daily limit for this model is reached.", (REGENERATE,)),
    "out_of_credit": ("The service's credit is used up. The operators have been told.", (REGENERATE,)),
    "connection_failed": ("The connection to the model was lost.", (RETRY,)),
    "provider_error": ("The model had an error.", (RETRY, REGENERATE)),
    "provider_timed_out": (
        "The model took too long. Retry with a simpler question?",
        (RETRY, SHORTEN, REGENERATE),
    ),
    "provider_overloaded": ("The model is overloaded.", (RETRY, REGENERATE)),
    "breaker_open": (
        "The model has failed several times in a row. It is tried again soon.",
        (RETRY, REGENERATE),
    ),
    "first_token_timeout": ("Response generation timeout. Retry with a simpler question?", (RETRY, SHORTEN)),
    "stalled": ("The answer stopped arriving. What came is kept.", (CONTINUE, RETRY)),
    "deadline": ("The answer took too long. What came is kept.", (CONTINUE, RETRY)),
    "truncated": ("The answer stopped early. What came is kept.", (CONTINUE, RETRY)),
    "content_blocked": ("The model declined this content.", (SHORTEN,)),
    "empty_answer": ("The model returned an empty answer.", (RETRY, REGENERATE)),
    "server_stopped": ("The server was restarted while it wrote. What came is kept.", (CONTINUE, RETRY)),
    "server_lost": ("The server stopped while it wrote. What came is kept.", (CONTINUE, RETRY)),
    "budget_exceeded": ("The budget does not allow another attempt.", (RETRY,)),
    "unknown_model": ("This model does not exist here any more.", (REGENERATE,)),
    "internal_error": ("Something went wrong on our side. Nothing was charged.", (RETRY,)),
}


def describe_error(code: str, *, has_text: bool) -> dict[str, Any]:
    """``{code, detail, options}`` of an error code; Continue is offered only where there is text."""
    detail, options = ERRORS.get(code, ERRORS["internal_error"])
    offered = [option for option in options if option is not CONTINUE or has_text]
    if has_text and CONTINUE not in offered and code in CUT_CODES:
        offered.insert(0, CONTINUE)
    return {"code": code, "detail": detail, "options": offered}


# Errors that can come in the middle of an answer, whose beginning is worth continuing.
CUT_CODES = frozenset({"connection_failed", "provider_error", "provider_overloaded", "rate_limited"})

WHOSE = {
    "user": "Your",
    "own": "Your own",
    "group": "Your group's",
    "conversation": "This conversation's",
    "everyone": "This site's",
}
PERIODS = {"day": "budget for today", "week": "budget for this week", "month": "budget for this month"}


def describe_refusal(error: BudgetExceeded, now: datetime) -> str:
    """What is used up, what this message would have needed, and when it opens again."""
    budget = error.budget
    left = max(error.limit - error.used - error.held, 0)
    whose, period = WHOSE.get(budget.scope, "The"), PERIODS.get(budget.period, "budget")
    of_model = f" on {budget.model}" if budget.model else ""
    if isinstance(error, BucketSuspended):
        return f"{whose} {period}{of_model} is being checked. The operators have been told."
    if left == 0:
        sentence = f"{whose} {period}{of_model} is used up."
    else:
        sentence = (
            f"{whose} {period}{of_model} has {_amount(left, budget.unit)} left; this message needs at least "
            f"{_amount(error.needed, budget.unit)}."
        )
    if error.held:
        sentence += f" {_amount(error.held, budget.unit)} are held for answers in progress."
    if error.resets_at is not None:
        sentence += f" It resets in {_duration(error.resets_at - now)}."
    return sentence


def refusal_options(error: BudgetExceeded) -> list[dict[str, Any]]:
    """What would let the message through."""
    options: list[dict[str, Any]] = []
    if isinstance(error, BucketSuspended):
        return options
    if error.fits_output_tokens > 0:
        options.append(
            {
                "action": "shorter_answer",
                "label": f"Ask for a shorter answer (up to {error.fits_output_tokens:,} tokens)",
                "max_output_tokens": error.fits_output_tokens,
            }
        )
    if error.budget.scope == "conversation":
        options.append(NEW_CONVERSATION)
    if error.budget.model is not None:
        options.append({"action": "model", "label": "Use another model"})
    if error.resets_at is not None:
        moment = error.resets_at.isoformat()
        options.append({"action": "wait", "label": "Wait for the reset", "resets_at": moment})
    return options


def _amount(units: int, unit: str) -> str:
    return f"{units:,} tokens" if unit == "tokens" else f"${usd(units)}"


def _duration(span: timedelta) -> str:
    minutes = max(int(span.total_seconds() + 59) // 60, 1)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
