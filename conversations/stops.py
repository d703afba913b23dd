"""Stopping an answer."""

from __future__ import annotations

import uuid

from django.db import transaction
from django.utils import timezone

from billing.holds import release_hold
from conversations.models import Generation, State


def stop_turn(*, user_id: int, conversation_id: uuid.UUID, turn_id: uuid.UUID) -> Generation | None:
    """Ask that the live answer of a turn be stopped.

    An answer that no process is writing ends here and now, and its hold is released. One that is being
    written gets ``stop_requested_at``; the process that writes it ends it. Returns the generation, or
    None when there is nothing live: stopping twice is no error.
    """
    now = timezone.now()
    with transaction.atomic():
        generation = (
            Generation.objects.live()
            .select_for_update(of=("self",))
            .select_related("turn", "conversation")
            .of_turn(turn_id, conversation_id=conversation_id, user_id=user_id)
            .first()
        )
        if generation is None:
            return None
        ended = Generation.objects.filter(pk=generation.pk, state__in=(State.QUEUED, State.WAITING)).update(
            state=State.STOPPED,
            finish_reason="stopped",
            error_code="",
            stop_requested_at=now,
            finished_at=now,
            run_after=None,
        )
        if ended:
            if generation.hold_id is not None:
                release_hold(generation.hold_id, reason="stopped", now=now)
        else:
            Generation.objects.filter(pk=generation.pk).update(stop_requested_at=now)
    generation.refresh_from_db(fields=["state", "finish_reason", "finished_at"])
    return generation
