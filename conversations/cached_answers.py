"""Earlier answers to the same question, for when no model can answer it now.

The same: the same person, the same hash of the whole built prompt, the model and the parameters.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

import orjson
from django.conf import settings

from conversations.models import Generation, Remedy, State
from llm.messages import ChatRequest


def request_hash(request: ChatRequest, *, model: str, wanted_output_tokens: int) -> str:
    """SHA-256, as hex, of everything that decides what the model is asked.

    ``wanted_output_tokens`` is the length that was asked for: what a budget leaves of it is no part of
    the question.
    """
    messages = [(message.role, message.text) for message in request.messages]
    whole = (model, request.system, messages, request.temperature, wanted_output_tokens)
    return hashlib.sha256(orjson.dumps(whole)).hexdigest()


def find_cached_answer(generation: Generation, *, now: datetime) -> Generation | None:
    """The newest whole answer to the same request of the same person; None where there is none.

    One that was asked again on purpose (another version of an answer that is there) has none: the person
    wants another answer than that.
    """
    if not generation.request_hash or generation.remedy:
        return None
    whole = Generation.objects.filter(state=State.COMPLETED, finish_reason="stop")
    if whole.filter(turn_id=generation.turn_id).exists():
        return None
    return (
        whole.filter(
            request_hash=generation.request_hash,
            conversation__owner_id=generation.conversation.owner_id,
            cached_at=None,
            asked_model="",
            remedy=Remedy.NONE,
            finished_at__gte=now - timedelta(seconds=settings.CACHED_ANSWER_SECONDS),
        )
        .order_by("-finished_at")
        .first()
    )
