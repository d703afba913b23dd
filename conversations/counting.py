"""When the provider's own count of an input is wanted, and how a verb comes by it.

Verbs run in the database's threads and never wait for a provider. One that comes near a limit, where our
estimate could decide wrongly, raises :class:`CountWanted`; its transaction leaves nothing. Whoever runs it
by :func:`in_database_counted` asks the provider and runs it again. Elsewhere, and where the provider cannot
tell, our estimate holds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from datetime import datetime
from typing import ParamSpec, TypeVar

from billing.holds import HoldRequest
from billing.models import Hold
from conversations.context import Context, ContextTooLong
from conversations.database import in_database
from conversations.leaner import fits
from llm.counts import ask_count, can_count, prompt_key
from llm.messages import ChatRequest
from llm.profiles import Profile

P = ParamSpec("P")
R = TypeVar("R")
Build = Callable[[Profile], Context]

# A limit is near where a call takes so much of what is left ...
NEAR_PERCENT = 80
# ... and our estimate matters where the input alone takes so much of it.
WEIGHTY_PERCENT = 25
# No provider counts that much less than our upper estimate, so beyond it a count would change nothing.
LOWEST_COUNT_PERCENT = 80
# Questions about one send: the whole context, and what became of it.
QUESTIONS = 2

# What was asked in this send, by prompt (None: no answer). None where nobody asks.
_answers: ContextVar[dict[bytes, int | None] | None] = ContextVar("provider_counts", default=None)


class CountWanted(Exception):
    """The provider's count of this request would decide."""

    def __init__(self, key: bytes, profile: Profile, request: ChatRequest) -> None:
        super().__init__(profile.model_id)
        self.key = key
        self.profile = profile
        self.request = request


async def in_database_counted(verb: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a verb as ``in_database`` does; where it wants a count, ask for it and run it again."""
    answers: dict[bytes, int | None] = {}
    token = _answers.set(answers)
    try:
        while True:
            try:
                return await in_database(verb, *args, **kwargs)
            except CountWanted as wanted:
                answers[wanted.key] = await ask_count(wanted.profile, wanted.request)
    finally:
        _answers.reset(token)


def want_count(profile: Profile, request: ChatRequest) -> int | None:
    """The provider's count; None where there is none. Raises CountWanted where it was not asked yet."""
    answers = _answers.get()
    if answers is None or not (answers or can_count(profile)):
        return None
    key = prompt_key(profile, request)
    if key not in answers and len(answers) < QUESTIONS and can_count(profile):
        raise CountWanted(key, profile, request)
    return answers.get(key)


def upper_input(profile: Profile, context: Context) -> int:
    """What is held for the input: the provider's count where it was asked, else our upper estimate."""
    answers = _answers.get()
    count = answers.get(prompt_key(profile, context.request)) if answers else None
    return profile.estimate.upper(context.input_tokens) if count is None else count


def fit_window(profile: Profile, build: Build, *, room_tokens: int) -> Context:
    """The context that ``build`` makes by our estimate, or where that is near the window by the count.

    ``room_tokens`` is what the window leaves to the input. Raises ContextTooLong and CountWanted.
    """
    ours = _attempt(profile, build)
    if isinstance(ours, Context) and not ours.is_cut:
        taken = profile.estimate.upper(ours.input_tokens)
        if taken * 100 < room_tokens * NEAR_PERCENT:
            return ours
    found = ours if _answers.get() is None else _counted(profile, build, ours)
    if isinstance(found, ContextTooLong):
        raise found
    return found


def _counted(profile: Profile, build: Build, ours: Context | ContextTooLong) -> Context | ContextTooLong:
    least = _with_percent(profile, profile.estimate_percent * LOWEST_COUNT_PERCENT // 100)
    whole = _attempt(least, build)
    if isinstance(whole, ContextTooLong) or whole.is_cut:
        return ours
    count = want_count(profile, whole.request)
    if count is None:
        return ours
    return _attempt(_with_percent(profile, -(-count * 100 // whole.input_tokens)), build)


def _attempt(profile: Profile, build: Build) -> Context | ContextTooLong:
    try:
        return build(profile)
    except ContextTooLong as error:
        return error


def _with_percent(profile: Profile, percent: int) -> Profile:
    return replace(profile, estimate_percent=max(percent, 1), prompt_overhead_tokens=0)


def want_count_near_budget(profile: Profile, request: ChatRequest, hold: Hold) -> None:
    """Raises CountWanted where the hold nearly takes, or was cut to, what a budget has left."""
    if any(call >= NEAR_PERCENT and input_ >= WEIGHTY_PERCENT for call, input_ in hold.rest_percents):
        want_count(profile, request)


def want_count_for_refused(profile: Profile, request: ChatRequest, hold: HoldRequest, now: datetime) -> None:
    """Raises CountWanted where a budget refuses what it might admit by the provider's count."""
    least = hold.input_tokens * LOWEST_COUNT_PERCENT // 100
    if _answers.get() is not None and fits(replace(hold, input_tokens=least), now):
        want_count(profile, request)
