"""What a person should know about how an answer came about: one sentence each, shown with the answer.

Another model answered, an earlier answer is shown again, older parts were left out. Pure but for the
names of the models.
"""

from __future__ import annotations

from typing import Any

from conversations.models import Generation, Remedy
from llm.errors import UnknownModel
from llm.profiles import get_profile

Note = dict[str, Any]

# What was the matter with the model that was asked for, by the code of its error.
BECAUSE = {
    "bad_credentials": "is not set up correctly",
    "breaker_open": "is not answering",
    "connection_failed": "could not be reached",
    "daily_quota": "has reached its daily limit",
    "model_gone": "was retired",
    "not_available": "is not available here",
    "out_of_credit": "has no credit left",
    "provider_error": "had an error",
    "provider_overloaded": "was overloaded",
    "provider_timed_out": "took too long",
    "rate_limited": "was busy",
    "truncated": "broke off",
}
BY_PERSON = "person"
REMEDIES = {
    Remedy.TRIMMED: "The conversation was too long for the model; older parts were left out.",
    Remedy.THINK_LESS: "The first try used up the answer's length on thinking, so the model thought less.",
}


def notes_of(generation: Generation) -> list[Note]:
    """``{code, detail, …}`` of each, in the order in which they are shown."""
    notes: list[Note] = []
    if generation.asked_model and generation.asked_model != generation.model:
        notes.append(_switched(generation))
    if generation.cached_at is not None:
        since = generation.cached_at.isoformat().replace("+00:00", "Z")
        label = model_label(generation.model)
        detail = f"{label} cannot be reached now. This is its earlier answer to the same question."
        notes.append({"code": "cached", "detail": detail, "since": since})
    remedy = REMEDIES.get(Remedy(generation.remedy))
    if remedy is not None:
        notes.append({"code": generation.remedy, "detail": remedy})
    return notes


def _switched(generation: Generation) -> Note:
    asked, used = model_label(generation.asked_model), model_label(generation.model)
    if generation.switch_reason == BY_PERSON:
        detail = f"{used} instead of {asked}, as you chose."
    else:
        why = BECAUSE.get(generation.switch_reason, "could not answer")
        who = f"{used} answers" if generation.is_live else f"Answered by {used}"
        detail = f"{who}, because {asked} {why}."
    return {
        "code": "fallback",
        "detail": detail,
        "asked_model": generation.asked_model,
        "model": generation.model,
        "reason": generation.switch_reason,
    }


def model_label(model_id: str) -> str:
    try:
        return get_profile(model_id).label
    except UnknownModel:
        return model_id.partition(":")[2] or model_id
