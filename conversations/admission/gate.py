"""The gate that every call to a provider passes: asks Valkey before, and tells it how it went.

Where Valkey cannot be asked, calls go at once and nothing is paced: a limit may be met, an answer is
never lost. What Valkey forgets (a flush) is learned again within a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio
from django.conf import settings
from django.utils import timezone
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from conversations.admission import pace
from conversations.admission.pace import USED_SHARE, Call, key_name, provider_day
from conversations.admission.results import Result, error_of
from llm.errors import DailyQuota
from llm.profiles import Profile
from llm.usage import Usage

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT_SECONDS = 0.5
# After it could not be asked, Valkey is left alone for this long: not every call shall wait for it.
LEAVE_ALONE_SECONDS = 2.0

# A ticket whose owner does not come back at its time keeps its place for this long.
TICKET_GRACE_MS = 60_000
# By less than this nobody is called earlier than told.
WORTH_CALLING_MS = 500
PROBE_LIFE_MS = 45_000
PROBE_WAIT_MS = 5_000

LOWEST_PACE = 0.1
PACE_RETURNS_PER_MINUTE = 0.05
# So many refusals in a row: everybody waits for the hint of the last one.
STRIKES = 3

BREAKER_CALLS = 10
BREAKER_FAILED_PERCENT = 50
BREAKER_WINDOW_MS = 30_000
# How long a breaker stays open at first, and at most, by the result that opened it.
OPEN_SECONDS = {"failed": (10.0, 120.0), "key": (60.0, 600.0), "day": (900.0, 3600.0)}

# Retries are a tenth of all calls; below that, so many a second are free.
RETRY_SHARE = 0.1
FREE_RETRIES_PER_SECOND = 2.0
RETRIES_STORED = 20
RETRIES_LENT = 60

_FOLDER = Path(__file__).parent
PREFIX = "chatsite:admission"


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that may go. ``probe``: a breaker is half open and waits for what comes of it."""

    call: Call
    admitted_at_ms: str = ""  # by Valkey's clock; empty where it was not asked
    probe: bool = False
    others_wait: bool = False  # in the queue behind it


@dataclass(frozen=True, slots=True)
class First:
    """The first in a queue, which may go in so many seconds: earlier than it was told."""

    ticket: uuid.UUID
    seconds: float


@dataclass(frozen=True, slots=True)
class CapacityWait:
    """A call that must wait: for how long, and as which in the queue (1 = the next)."""

    seconds: float
    place: int


@dataclass(frozen=True, slots=True)
class KeptBack:
    """No call to the model would go now, for so long; ``code``: the error that told."""

    seconds: float
    code: str


class Gate:
    """One per event loop, like the connections that it uses. ``clock`` gives seconds; None: Valkey's own."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL,
            socket_timeout=ANSWER_TIMEOUT_SECONDS,
            socket_connect_timeout=ANSWER_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._admit, self._next, self._report, self._retry = (
            self._client.register_script(
                "".join((_FOLDER / f"{name}.lua").read_text(encoding="utf-8") for name in names)
            )
            for names in (("queue", "admit"), ("queue", "next"), ("report",), ("retry",))
        )
        self._away_until = 0.0  # monotonic seconds
        # Calls ask in the order in which they come, so that the times they are told agree.
        self._in_line = asyncio.Lock()

    async def admit(self, call: Call) -> Admission | CapacityWait:
        """Let the call go, or say how long it has to wait.

        Raises BreakerOpen, or the error that opened the breaker, where the model or its key is known not
        to work, and DailyQuota where the day's limit is reached; ``retry_after_seconds`` says until when.
        """
        day, day_left_seconds = provider_day(call.profile, timezone.now())
        async with self._in_line:
            answer = await self._ask_to_go(call, day, day_left_seconds)
        match answer:
            case [b"wait", int(ms), int(place)]:
                return CapacityWait(ms / 1000, place)
            case [b"open", int(ms), bytes(code), _]:
                raise error_of(code.decode(), ms / 1000)
            case [b"day", int(ms)]:
                raise DailyQuota("the day's limit of this model is used", retry_after_seconds=ms / 1000)
            case [b"go", int(probes), bytes(now_ms), int(waiting)]:
                return Admission(call, now_ms.decode(), probe=probes > 0, others_wait=waiting > 0)
        return Admission(call)

    async def _ask_to_go(self, call: Call, day: str, day_left_seconds: float) -> Any:
        profile = call.profile
        return await self._ask(
            self._admit,
            keys=[*_pace_keys(profile), *_breaker_keys(profile), _retry_key()],
            args=[
                str(call.ticket),
                int(call.asked_at.timestamp() * 1_000_000),
                profile.requests_per_minute or 0,
                profile.tokens_per_minute or 0,
                pace.PERIOD_SECONDS * 1000,
                profile.requests_per_day or 0,
                day,
                int(day_left_seconds * 1000),
                call.limited_tokens,
                TICKET_GRACE_MS,
                PROBE_LIFE_MS,
                PROBE_WAIT_MS,
                USED_SHARE,
                RETRY_SHARE,
                FREE_RETRIES_PER_SECOND,
                RETRIES_STORED,
                PACE_RETURNS_PER_MINUTE,
            ],
        )

    async def first_in_line(self, profile: Profile) -> First | None:
        """Who may go earlier than it was told, because others took less than they asked for, or left."""
        answer = await self._ask(
            self._next,
            keys=_pace_keys(profile),
            args=[
                profile.requests_per_minute or 0,
                profile.tokens_per_minute or 0,
                pace.PERIOD_SECONDS * 1000,
                USED_SHARE,
                PACE_RETURNS_PER_MINUTE,
                TICKET_GRACE_MS,
                WORTH_CALLING_MS,
            ],
        )
        return None if answer is None else First(uuid.UUID(answer[0].decode()), answer[1] / 1000)

    async def report(self, admission: Admission, result: Result, usage: Usage | None = None) -> bool:
        """Tell what came of an admitted call; once at its end, and for a probe at its first event too.

        Returns whether others wait.
        """
        if not admission.admitted_at_ms:
            return False
        call, profile = admission.call, admission.call.profile
        used = call.used_tokens(usage)
        first, longest = OPEN_SECONDS.get(result.kind, (0.0, 0.0))
        if result.kind == "day":  # a new one is not kept waiting
            _, left_seconds = provider_day(profile, timezone.now())
            first, longest = min(first, left_seconds), min(longest, left_seconds)
        answer = await self._ask(
            self._report,
            keys=[_pace_keys(profile)[0], *_breaker_keys(profile), _pace_keys(profile)[1]],
            args=[
                result.kind,
                str(call.ticket),
                admission.admitted_at_ms,
                result.code,
                call.limited_tokens,
                -1 if used is None else used,
                profile.tokens_per_minute or 0,
                pace.PERIOD_SECONDS * 1000,
                USED_SHARE,
                result.factor,
                LOWEST_PACE,
                int(result.hint_seconds * 1000),
                BREAKER_CALLS,
                BREAKER_FAILED_PERCENT,
                BREAKER_WINDOW_MS,
                int(first * 1000),
                int(longest * 1000),
                STRIKES,
                PACE_RETURNS_PER_MINUTE,
            ],
        )
        if answer is None:
            return False
        change, open_ms, pace_percent, waiting = answer
        model = profile.model_id
        if change == b"opened":
            logger.warning("breaker opened model=%s code=%s seconds=%d", model, result.code, open_ms // 1000)
        elif change == b"closed":
            logger.info("breaker closed model=%s", model)
        if pace_percent >= 0:
            logger.warning("pace lowered model=%s code=%s percent=%d", model, result.code, pace_percent)
        return bool(waiting)

    async def retry_delay(self) -> float:
        """Take a retry from the budget; the seconds by which it must be later than it would be."""
        answer = await self._ask(
            self._retry, keys=[_retry_key()], args=[FREE_RETRIES_PER_SECOND, RETRIES_STORED, RETRIES_LENT]
        )
        return 0.0 if answer is None else int(answer) / 1000

    async def kept_back(self, profiles: Sequence[Profile]) -> dict[str, KeptBack]:
        """The models that no call would reach now, by id. Empty where Valkey cannot be asked."""
        keys = [key for one in profiles for key in (_pace_keys(one)[0], *_breaker_keys(one))]
        found = await self._ask(self._look, keys=keys, args=[])
        kept: dict[str, KeptBack] = {}
        for index, (ms, code) in enumerate(found or ()):
            model = profiles[index // 3].model_id
            if ms > 0 and (model not in kept or ms / 1000 > kept[model].seconds):
                kept[model] = KeptBack(ms / 1000, code)
        return kept

    async def _look(self, *, keys: Sequence[str], args: Sequence[str]) -> list[tuple[float, str]]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, ["open_until", "pause_until", "code"])
        pipeline.time()
        *found, (seconds, micros) = await pipeline.execute()
        now_ms = float(args[-1] or seconds * 1000 + micros / 1000)
        return [
            (float(opened or paused or 0) - now_ms, (code or b"rate_limited").decode())
            for opened, paused, code in found
        ]

    async def leave(self, ticket: uuid.UUID, profile: Profile) -> None:
        """Give up the place in the queue."""
        _, queue, tickets = _pace_keys(profile)
        await self._ask(self._give_up, keys=[queue, tickets], args=[str(ticket)])

    async def _give_up(self, *, keys: Sequence[str], args: Sequence[str]) -> Any:
        pipeline = self._client.pipeline()
        pipeline.zrem(keys[0], args[0])
        pipeline.hdel(keys[1], args[0])
        return await pipeline.execute()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask(self, script: Any, *, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """The answer of a script; None where Valkey cannot be asked."""
        if time.monotonic() < self._away_until:
            return None
        try:
            now_ms = "" if self._clock is None else f"{self._clock() * 1000:.3f}"
            return await script(keys=keys, args=[*args, now_ms])
        except (RedisError, OSError) as error:
            self._away_until = time.monotonic() + LEAVE_ALONE_SECONDS
            logger.warning("Valkey cannot be asked (%s): calls go without pacing", type(error).__name__)
            return None


def _pace_keys(profile: Profile) -> tuple[str, str, str]:
    """The state of the limits, the queue and its tickets, of a key and a model."""
    key = f"{PREFIX}:pace:{key_name(profile)}:{profile.model_id}"
    return key, f"{key}:queue", f"{key}:tickets"


def _breaker_keys(profile: Profile) -> tuple[str, str]:
    """The breakers of the model and of the key."""
    name = key_name(profile)
    return f"{PREFIX}:breaker:{name}:{profile.model_id}", f"{PREFIX}:key:{name}"


def _retry_key() -> str:
    return f"{PREFIX}:retries"
