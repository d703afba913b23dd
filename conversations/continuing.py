"""What can be done with an answer that has ended: retry it, or continue it and for how much."""

from __future__ import annotations

from typing import Any

from billing.prices import quote
from billing.receipts import usd
from conversations.models import Generation, State
from conversations.outcomes import CONTINUE, RETRY, describe_error
from llm.errors import UnknownModel
from llm.profiles import get_profile
from llm.tokens import count_tokens

Option = dict[str, Any]


def problem_of(generation: Generation) -> dict[str, Any] | None:
    """``{code, detail, options}`` of an answer that failed or broke off; None for any other."""
    if not generation.error_code or generation.state not in (State.INTERRUPTED, State.FAILED):
        return None
    problem = describe_error(generation.error_code, has_text=bool(generation.text))
    problem["options"] = [_priced(option, generation) for option in problem["options"]]
    return problem


def options_of(generation: Generation) -> list[Option]:
    """What is offered with an answer that is there: Continue, where it ended before its end."""
    is_cut = generation.state == State.COMPLETED and generation.finish_reason == "length"
    if generation.text and (is_cut or generation.state == State.STOPPED):
        return [_priced(CONTINUE, generation)]
    return []


def _priced(option: Option, generation: Generation) -> Option:
    """With the most that it can cost: the question and a whole answer, to continue also what came."""
    if option not in (CONTINUE, RETRY):
        return option
    model = generation.model
    if option is RETRY:
        model = generation.asked_model or generation.model
    try:
        profile = get_profile(model)
    except UnknownModel:
        return option
    came = count_tokens(generation.text, profile.encoding) if option is CONTINUE else 0
    input_tokens = profile.estimate.upper(generation.input_estimate_tokens + came)
    wanted = min(profile.default_output_tokens, profile.max_output_tokens)
    cost = usd(quote(profile.model_id, input_tokens, wanted))
    return option if cost is None else {**option, "cost_usd": cost}
