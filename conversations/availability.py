"""Door: which of the models in the picker would not answer now, and when they may be asked again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from conversations.admission.gate import KeptBack
from conversations.database import in_database
from conversations.runtime import get_runtime
from conversations.templatetags.figures import remaining
from llm.errors import UnknownModel
from llm.profiles import Profile, get_profile

# More than any picker shows.
MODELS_AT_MOST = 100
WORDS = {
    "rate_limited": "Busy: free again in {left}",
    "daily_quota": "Used up for today: free again in {left}",
    "bad_credentials": "Its key does not work here: tried again in {left}",
    "out_of_credit": "Its account is empty: tried again in {left}",
}
NOT_ANSWERING = "Not answering now: tried again in {left}"


@login_required
@require_GET
async def availability(request: HttpRequest) -> JsonResponse:
    """``model``, once for each: ``{"kept_back": {model: sentence}}``, without those that would go."""
    profiles = await in_database(_profiles, request.GET.getlist("model")[:MODELS_AT_MOST])
    kept_back = await get_runtime().gate.kept_back(profiles)
    return JsonResponse({"kept_back": {model: in_words(kept) for model, kept in kept_back.items()}})


def _profiles(models: Sequence[str]) -> list[Profile]:
    found = []
    for model in models:
        with contextlib.suppress(UnknownModel):
            found.append(get_profile(model))
    return found


def in_words(kept: KeptBack) -> str:
    left = remaining(timezone.now() + timedelta(seconds=kept.seconds))
    return WORDS.get(kept.code, NOT_ANSWERING).format(left=left)
