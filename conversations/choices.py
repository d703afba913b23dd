"""The rules of an order: which model, how warm, how long, which text, what can be continued."""

from __future__ import annotations

import math
from typing import Literal

from django.conf import settings

from conversations.exceptions import Invalid, Unavailable
from conversations.models import Generation, Preferences
from llm.errors import UnknownModel
from llm.profiles import Profile, default_model_id, get_profile

Version = Literal["retry", "regenerate", "continue"]


def require_continuable(chosen: Generation | None) -> Generation:
    """The shown answer, with words that can be gone on from. Raises Invalid where there is none."""
    if chosen is None or chosen.is_live or not chosen.text:
        raise Invalid("nothing_to_continue", "There is no answer here to continue.")
    return chosen


def clean_text(text: str) -> str:
    """The question as it is stored. Raises Invalid when it is empty, too long or holds a NUL."""
    if "\x00" in text:
        raise Invalid("message_invalid", "The message holds a character that cannot be stored (NUL).")
    if not text.strip():
        raise Invalid("message_empty", "Write something first.")
    limit = settings.MESSAGE_LIMIT_CHARACTERS
    if len(text) > limit:
        raise Invalid(
            "message_too_long", f"The message has {len(text):,} characters; {limit:,} is the limit."
        )
    return text


def choose_profile(wanted: str, *, last: str = "", user_id: int) -> Profile:
    """The profile of the model asked for, else of the ``last`` one used, the person's or the site's."""
    if wanted:
        try:
            profile = get_profile(wanted)
        except UnknownModel as error:
            raise Invalid("unknown_model", "There is no such model here. Pick one from the list.") from error
        if not profile.usable:
            raise Unavailable(
                "model_unavailable", "This model has no key here. Pick another one or ask an admin."
            )
        return profile
    usable = _usable(last) or _usable(_preferred(user_id)) or _usable(default_model_id() or "")
    if usable is None:
        raise Invalid("unknown_model", "No model is set up here. An admin can add one.")
    return usable


def _usable(model_id: str) -> Profile | None:
    if not model_id:
        return None
    try:
        profile = get_profile(model_id)
    except UnknownModel:
        return None
    return profile if profile.usable else None


def _preferred(user_id: int) -> str:
    return Preferences.objects.filter(user_id=user_id).values_list("default_model", flat=True).first() or ""


def read_length(text: str) -> int | None:
    """The length of an answer from the field of a form; None for anything that is no such number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def choose_temperature(wanted: float | None, profile: Profile) -> float | None:
    """None: the model takes none."""
    if wanted is None:
        return profile.default_temperature
    if not math.isfinite(wanted) or not 0 <= wanted <= profile.max_temperature:
        raise Invalid(
            "invalid_temperature", f"The temperature of this model is from 0 to {profile.max_temperature:g}."
        )
    return wanted if profile.takes_temperature else None


def choose_length(wanted_tokens: int | None, profile: Profile) -> int:
    """The longest answer that is asked for, in tokens."""
    if wanted_tokens is None:
        return min(profile.default_output_tokens, profile.max_output_tokens)
    if not 1 <= wanted_tokens <= profile.max_output_tokens:
        raise Invalid(
            "invalid_max_output_tokens",
            f"The length of an answer of this model is from 1 to {profile.max_output_tokens:,} tokens.",
        )
    return wanted_tokens
