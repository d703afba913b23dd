"""The words for everything that can go wrong with an answer: code → text → what helps.

One closed table, used by events, pages and REST alike. Texts say what happened and what helps, never a
provider's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billing.errors import BucketSuspended, BudgetExceeded
from billing.receipts import usd
from conversations.templatetags.figures import money, tokens

RETRY = {"action": "retry", "label": "Retry"}
CONTINUE = {"action": "continue", "label": "Continue"}
REGENERATE = {"action": "regenerate", "label": "Try another model"}
SHORTEN = {"action": "edit", "label": "Edit the question"}
SIMPLER = {"action": "edit", "label": "Ask a simpler question"}
NEW_CONVERSATION = {"action": "new_conversation", "label": "Start a new conversation"}

Option = dict[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What is said where there is no answer, and, in the middle of one, where it broke off."""

    no_answer: str
    options: tuple[Option, ...]
    broke_off: str = ""


def _unavailable(why: str, *options: Option, broke_off: str = "") -> Words:
    return Words(f"AI is unavailable: {why}. Your question is kept.", options, broke_off)


ERRORS: dict[str, Words] = {
    # The question, or what is around it.
    "bad_request": Words("The model could not take this request.", (SHORTEN, REGENERATE)),
    "context_too_long": Words(
        "This conversation is too long for the model.", (NEW_CONVERSATION, SHORTEN, REGENERATE)
    ),
    "content_blocked": Words(
        "The model declined this content.", (SHORTEN,), "The model declined to go on. What came is kept."
    ),
    # The model cannot be had until somebody does something.
    "bad_credentials": _unavailable(
        "its service is not set up correctly. The operators have been told", REGENERATE
    ),
    "out_of_credit": _unavailable("its credit is used up. The operators have been told", REGENERATE),
    "not_enabled": _unavailable(
        "this model is not enabled for the service's account. The operators have been told", REGENERATE
    ),
    "not_available": _unavailable("this model cannot be used here", REGENERATE),
    "model_gone": _unavailable("this model is no longer offered", REGENERATE),
    "unknown_model": _unavailable("this model does not exist here any more", REGENERATE),
    # It can be had again by itself.
    "daily_quota": _unavailable("this model's limit for today is reached", RETRY, REGENERATE),
    "rate_limited": _unavailable(
        "the service is busy and did not free up in time",
        RETRY,
        REGENERATE,
        broke_off="The service became busy. What came is kept.",
    ),
    "provider_overloaded": _unavailable(
        "the model is overloaded",
        RETRY,
        REGENERATE,
        broke_off="The model became overloaded. What came is kept.",
    ),
    "provider_error": _unavailable(
        "the model had an error", RETRY, REGENERATE, broke_off="The model had an error. What came is kept."
    ),
    "breaker_open": _unavailable(
        "the model has failed several times in a row, and is tried again soon", RETRY, REGENERATE
    ),
    "connection_failed": _unavailable(
        "the model cannot be reached",
        RETRY,
        REGENERATE,
        broke_off="The connection to the model was lost. What came is kept.",
    ),
    # It took too long, or came to nothing.
    "first_token_timeout": Words(
        "Response generation timeout. Retry with a simpler question?", (RETRY, SIMPLER, REGENERATE)
    ),
    "provider_timed_out": Words(
        "The model took too long. Retry with a simpler question?",
        (RETRY, SIMPLER, REGENERATE),
        "The model took too long. What came is kept.",
    ),
    "deadline": Words(
        "The answer took too long. Retry with a simpler question?",
        (RETRY, SIMPLER),
        "The answer took too long. What came is kept.",
    ),
    "stalled": Words(
        "The model fell silent before it wrote a word.",
        (RETRY, SIMPLER, REGENERATE),
        "The answer stopped arriving. What came is kept.",
    ),
    "truncated": Words(
        "The model ended before it wrote a word.",
        (RETRY, REGENERATE),
        "The answer stopped early. What came is kept.",
    ),
    "cut_empty": Words(
        "The model used up the answer's length before it wrote a word.", (RETRY, SIMPLER, REGENERATE)
    ),
    "empty_answer": Words("The model returned an empty answer.", (RETRY, REGENERATE)),
    # We.
    "server_stopped": Words(
        "The server was restarted. Your question is kept.",
        (RETRY,),
        "The server was restarted while it wrote. What came is kept.",
    ),
    "server_lost": Words(
        "The server stopped. Your question is kept.",
        (RETRY,),
        "The server stopped while it wrote. What came is kept.",
    ),
    "budget_exceeded": Words("The budget does not allow another attempt.", (RETRY,)),
    "internal_error": Words("Something went wrong on our side. Nothing was charged.", (RETRY,)),
}


def describe_error(code: str, *, has_text: bool) -> dict[str, Any]:
    """``{code, detail, options}`` of an error code. An answer that broke off can be continued or retried."""
    words = ERRORS.get(code, ERRORS["internal_error"])
    if not has_text:
        return {"code": code, "detail": words.no_answer, "options": list(words.options)}
    detail = words.broke_off or words.no_answer
    options = [SHORTEN] if code == "content_blocked" else [CONTINUE, RETRY]
    return {"code": code, "detail": detail, "options": options}


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
    return tokens(units) if unit == "tokens" else money(usd(units))


def _duration(span: timedelta) -> str:
    minutes = max(int(span.total_seconds() + 59) // 60, 1)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
