"""Verbs of a person whose answer waits: send it with another model now, or when the provider takes it.

Stopping is in ``stops``. Whoever owns the hint that wakes the wait changes nothing: what is due stands in
the row, and the row is locked here.
"""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from billing.errors import BudgetExceeded, PriceUnknown
from billing.holds import release_hold
from conversations.choices import choose_profile
from conversations.context import ContextTooLong
from conversations.exceptions import BudgetRefused, Conflict, Invalid, NotFound
from conversations.limits import check_confirmation
from conversations.models import Generation, State, WaitingReason
from conversations.notes import BY_PERSON
from conversations.outcomes import describe_refusal
from conversations.queueing import estimate_of
from conversations.stand_ins import take_over, terms_for

NOT_WAITING = "This answer does not wait any more."


def switch_turn(
    *, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID, model: str, confirmed: bool = True
) -> tuple[Generation, str]:
    """Give a waiting answer to another model; it is due at once, with a hold of its own.

    Returns it and the model in whose queue it had a place ("": in none).
    Raises a :class:`Refusal`, and then it waits on as before: NotFound, Invalid (unknown model, too long
    for it), Unavailable, Conflict ``not_waiting`` or ``confirm_required``, BudgetRefused.
    """
    now = timezone.now()
    with transaction.atomic():
        generation = _waiting(user_id, conversation_id, turn_id)
        profile = choose_profile(model, user_id=user_id)
        try:
            terms = terms_for(generation, profile)
        except ContextTooLong as error:
            raise Invalid("context_too_long", "This question is too long for that model.") from error
        if generation.hold_id is not None:
            release_hold(generation.hold_id, reason="another model was chosen", now=now)
        left = "" if generation.place is None else generation.model
        # Another model, another start: it gets the patience and the retries of a new question.
        generation.round_started_at, generation.round_attempts = now, generation.attempts
        generation.paced_seconds, generation.place, generation.error_code = 0.0, None, ""
        try:
            hold = take_over(generation, terms, reason=BY_PERSON, now=now)
        except BudgetExceeded as error:
            raise BudgetRefused(
                "budget_exceeded", describe_refusal(error, now), resets_at=error.resets_at
            ) from error
        except PriceUnknown as error:
            raise BudgetRefused(
                "price_unknown", "The price of that model is not known, so a budget in money cannot allow it."
            ) from error
        if not confirmed:
            estimate = estimate_of(profile.model_id, terms.upper_input_tokens, hold.output_cap_tokens)
            check_confirmation(hold.nearest_limit, estimate)
    return generation, left


def schedule_turn(*, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> Generation:
    """Send a waiting answer when the provider takes it, however late that is.

    Nothing is held until then: the budget is asked when it is sent. Asking twice is no error.
    """
    with transaction.atomic():
        generation = _waiting(user_id, conversation_id, turn_id)
        if generation.waiting_reason == WaitingReason.CHOICE:
            generation.waiting_reason = WaitingReason.SCHEDULED
            generation.round_started_at = generation.run_after
            generation.round_attempts = generation.attempts
            generation.notified_at, generation.paced_seconds = None, 0.0
            generation.save()
        elif generation.waiting_reason != WaitingReason.SCHEDULED:
            raise Conflict("not_waiting", "There is nothing to choose here: it is sent by itself.")
    return generation


def _waiting(user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> Generation:
    generation = (
        Generation.objects.live()
        .select_for_update(of=("self",))
        .select_related("turn", "conversation", "continues")
        .of_turn(turn_id, conversation_id=conversation_id, user_id=user_id)
        .first()
    )
    if generation is None:
        raise NotFound("This waiting answer")
    if generation.state != State.WAITING or generation.stop_requested_at is not None:
        raise Conflict("not_waiting", NOT_WAITING)
    return generation
