"""Learning how far our token counts are from each provider's own.

A hold takes a share of our count of the input (a model's ``estimate_percent``) and what the provider adds to
every prompt (its ``prompt_overhead_tokens``). What providers report for finished answers says how large both
must be, so that a hold is hardly ever too small and never wastefully large. Long prompts tell the share,
short ones the overhead; neither is lowered on the word of the other.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from django.db.models import F

from billing.models import EntryKind, LedgerEntry
from conversations.models import Generation, State
from llm.errors import UnknownModel
from llm.estimate import InputEstimate
from llm.models import ModelProfile
from llm.profiles import get_profile

logger = logging.getLogger(__name__)

# The newest answers are looked at, so that a provider's new tokenizer is noticed within a day's use.
NEWEST_ANSWERS = 5000
SAMPLES_PER_MODEL = 1000
SAMPLES_NEEDED = 30
LOWEST_PERCENT, HIGHEST_PERCENT = 102, 150
MOST_OVERHEAD_TOKENS = 200
# Of a hundred calls, this many must fit into their hold's input.
FITTING_PERCENT = 99
# Up to here a prompt tells of the overhead, from there on of the share.
SHORT_TOKENS, LONG_TOKENS = 100, 1000
# Calls beyond all bounds (a server that searches) teach nothing, unless they are more than one in so many.
ONE_BEYOND_IN = 10
# Lines whose holds differ by less are alike: then the one is taken that holds least for a short prompt.
ALIKE_PERCENT = 1

# Our count of a call's input, above 0, and the provider's.
Sample = tuple[int, int]


def fit_estimate(samples: Sequence[Sample], present: InputEstimate) -> InputEstimate:
    """The least wasteful estimate that covers 99 of 100 calls of each third: short, middling and long ones.

    Within bounds. It falls below the ``present`` one only where enough short (or long) prompts were seen.
    """
    samples = _learnable(samples)
    short = sum(counted <= SHORT_TOKENS for counted, _ in samples)
    long = sum(counted >= LONG_TOKENS for counted, _ in samples)
    least_percent = LOWEST_PERCENT if long >= SAMPLES_NEEDED else max(present.percent, LOWEST_PERCENT)
    least_overhead = 0 if short >= SAMPLES_NEEDED else present.overhead_tokens
    thirds = _thirds(samples)
    covering: list[InputEstimate] = []
    for percent in range(min(least_percent, HIGHEST_PERCENT), HIGHEST_PERCENT + 1):
        overhead = max(_overhead_tokens(third, percent) for third in thirds)
        if overhead <= MOST_OVERHEAD_TOKENS:
            least = min(least_overhead, MOST_OVERHEAD_TOKENS)
            covering.append(InputEstimate(percent, max(overhead, least)))
    if not covering:
        return InputEstimate(HIGHEST_PERCENT, MOST_OVERHEAD_TOKENS)
    per_token = sum(1 / counted for counted, _ in samples) / len(samples)
    held = {one: one.percent / 100 + one.overhead_tokens * per_token for one in covering}
    alike = min(held.values()) * (100 + ALIKE_PERCENT) / 100
    return min((one for one in covering if held[one] <= alike), key=lambda one: one.upper(SHORT_TOKENS))


def _learnable(samples: Sequence[Sample]) -> list[Sample]:
    bounds = InputEstimate(HIGHEST_PERCENT, MOST_OVERHEAD_TOKENS)
    within = [(counted, reported) for counted, reported in samples if reported <= bounds.upper(counted)]
    beyond = len(samples) - len(within)
    return within if beyond * ONE_BEYOND_IN <= len(samples) else list(samples)


def _thirds(samples: Sequence[Sample]) -> list[list[Sample]]:
    ordered = sorted(samples)
    borders = [len(ordered) * index // 3 for index in range(4)]
    return [ordered[begin:end] for begin, end in pairwise(borders) if begin < end]


def _overhead_tokens(samples: Sequence[Sample], percent: int) -> int:
    """What must be held beside this share of our counts, so that 99 of 100 calls fit."""
    missing = sorted(reported - counted * percent / 100 for counted, reported in samples)
    return math.ceil(missing[math.ceil(len(missing) * FITTING_PERCENT / 100) - 1])


def learn_estimates() -> dict[str, InputEstimate]:
    """Set each model's estimate from its newest answers; returns what changed.

    Answers whose provider reported nothing teach nothing. A model with few answers keeps its estimate.
    """
    samples: dict[str, list[Sample]] = defaultdict(list)
    for model, counted, reported in _newest():
        if counted > 0 and len(samples[model]) < SAMPLES_PER_MODEL:
            samples[model].append((counted, reported))
    changed: dict[str, InputEstimate] = {}
    for row in ModelProfile.objects.filter(model_id__in=samples):
        found = samples[row.model_id]
        try:
            present = get_profile(row.model_id).estimate
        except UnknownModel:
            continue  # switched off meanwhile
        if len(found) < SAMPLES_NEEDED:
            continue
        learned = fit_estimate(found, present)
        if learned != present:
            row.estimate_percent, row.prompt_overhead_tokens = learned.percent, learned.overhead_tokens
            row.save(update_fields=["estimate_percent", "prompt_overhead_tokens"])
            changed[row.model_id] = learned
            logger.info(
                "estimate learned model=%s percent=%d overhead_tokens=%d",
                row.model_id,
                learned.percent,
                learned.overhead_tokens,
            )
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
