"""Learning how far our token counts are from each provider's own.

A hold takes our count of the input times the model's ``estimate_percent``. What providers report for
finished answers says how large that factor must be, so that a hold is hardly ever too small and never
wastefully large.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import F

from billing.models import EntryKind, LedgerEntry
from conversations.models import Generation, State
from llm.models import ModelProfile

logger = logging.getLogger(__name__)

# The newest answers are looked at, so that a provider's new tokenizer is noticed within a day's use.
NEWEST_ANSWERS = 5000
SAMPLES_PER_MODEL = 1000
SAMPLES_NEEDED = 30
LOWEST_PERCENT, HIGHEST_PERCENT = 102, 150
# Of a hundred calls, this many must fit into their hold's input.
FITTING_PERCENT = 99


def percent_for(ratios: Sequence[float]) -> int:
    """The factor in percent that covers 99 of 100 of these ratios (reported ÷ counted), within bounds."""
    ordered = sorted(ratios)
    covering = ordered[min(math.ceil(len(ordered) * FITTING_PERCENT / 100), len(ordered)) - 1]
    return min(max(math.ceil(covering * 100), LOWEST_PERCENT), HIGHEST_PERCENT)


def learn_estimates() -> dict[str, int]:
    """Set each model's ``estimate_percent`` from its newest answers; returns what changed.

    Answers whose provider reported nothing teach nothing. A model with few answers keeps its factor.
    """
    ratios: dict[str, list[float]] = defaultdict(list)
    for model, counted, reported in _newest():
        if counted > 0 and len(ratios[model]) < SAMPLES_PER_MODEL:
            ratios[model].append(reported / counted)
    learned = {model: percent_for(found) for model, found in ratios.items() if len(found) >= SAMPLES_NEEDED}
    changed: dict[str, int] = {}
    for profile in ModelProfile.objects.filter(model_id__in=learned):
        percent = learned[profile.model_id]
        if profile.estimate_percent != percent:
            profile.estimate_percent = percent
            profile.save(update_fields=["estimate_percent"])
            changed[profile.model_id] = percent
            logger.info("estimate learned model=%s percent=%d", profile.model_id, percent)
    return changed


def _newest() -> Iterable[tuple[str, int, int]]:
    """(model, our count, the provider's count) of the newest answers, newest first."""
    newest = list(
        Generation.objects.filter(state=State.COMPLETED, hold_id__isnull=False)
        .order_by("-pk")
        .values_list("hold_id", "model", "input_estimate_tokens")[:NEWEST_ANSWERS]
    )
    entries = LedgerEntry.objects.filter(kind=EntryKind.USAGE, estimated=False)
    counted_input = F("input_uncached_tokens") + F("cache_read_tokens") + F("cache_write_tokens")
    for begin in range(0, len(newest), 500):
        chunk = newest[begin : begin + 500]
        found = entries.filter(hold_id__in=[hold_id for hold_id, _, _ in chunk])
        reported = dict(found.values_list("hold_id", counted_input + F("tool_prompt_tokens")))
        for hold_id, model, counted in chunk:
            if hold_id in reported:
                yield model, counted, reported[hold_id]
