"""One scenario played by the load generator against one server, with that server's CPU beside it."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psutil

from tests.bench.outcome import Outcome
from tests.bench.processes import Child, tree_cpu_seconds
from tests.bench.requests import Answered
from tests.bench.script import Script, now_us

_stream_numbers = itertools.count(1)
# Sockets are open and the client's loop is idle when the first turn starts.
_LEAD_US = 500_000
TIMEOUT_SECONDS = 60.0

# Called when the measured window begins, with its length in seconds.
AtWindow = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Shape:
    """What every stream of a scenario looks like; see :class:`Script` for the fields they share."""

    tokens: int
    interval_us: int
    group: int = 1
    first_us: int = 50_000

    def script(self) -> Script:
        return Script(next(_stream_numbers), self.tokens, self.interval_us, self.first_us, self.group)

    @property
    def duration_us(self) -> int:
        return int(self.script().duration_seconds * 1e6)


@dataclass(slots=True)
class Target:
    """A server under load. ``cpu`` gives CPU seconds so far, by part; ``doors`` addresses and keys."""

    name: str
    url: str
    model: str
    cpu: Callable[[], dict[str, float]]
    doors: Callable[[int], Sequence[Mapping[str, str]]]
    idle_rate: dict[str, float] = field(default_factory=dict)  # CPU seconds a second, by part

    def measure_idle(self, seconds: float) -> None:
        if seconds <= 0:
            return
        before = self.cpu()
        time.sleep(seconds)
        after = self.cpu()
        self.idle_rate = {part: (after[part] - before[part]) / seconds for part in after}


@dataclass(slots=True)
class Run:
    """What one round of one scenario gave. The window is the time over which CPU and latencies are read."""

    target: str
    outcomes: list[Outcome]
    window_us: tuple[int, int]
    cpu_seconds: dict[str, float]  # by part, less idle
    client_cpu_seconds: float
    client_lags_us: list[int]
    foreign_share: float  # of the machine's CPU, by processes that are no part of the benchmark
    answered: list[Answered] = field(default_factory=list)  # over REST, beside the streams

    def tokens_in_window(self) -> int:
        start, end = self.window_us
        return sum(start <= at < end for outcome in self.outcomes for at, _ in outcome.tokens)

    def cpu_ms_a_token(self, part: str | None = None) -> float:
        seconds = sum(self.cpu_seconds.values()) if part is None else self.cpu_seconds.get(part, 0.0)
        return 1000 * seconds / max(1, self.tokens_in_window())

    def added_ms(self) -> list[float]:
        start, end = self.window_us
        return [added / 1000 for each in self.outcomes for at, added in each.tokens if start <= at < end]

    def first_added_ms(self) -> list[float]:
        start, end = self.window_us
        return [
            each.first_added_us / 1000
            for each in self.outcomes
            if each.first_added_us is not None and start <= each.asked_us < end
        ]


def steady(
    target: Target, shape: Shape, streams: int, at_window: AtWindow | None = None, turns: int = 3
) -> Run:
    """Starts spread evenly over one stream's length, ``turns`` in a row; the window is when all are at it."""
    length_us = shape.duration_us
    starts = [i * length_us // streams for i in range(streams)]
    plan = _plan(target, shape, starts, turns)
    return _play(target, plan, (length_us, turns * length_us), at_window)


def burst(target: Target, shape: Shape, streams: int, at_window: AtWindow | None = None) -> Run:
    """All starts within one second; the window is the whole of it."""
    chance = random.Random(11)  # an even spacing would put all streams on the same few beats
    starts = sorted(chance.randrange(1_000_000) for _ in range(streams))
    plan = _plan(target, shape, starts, 1)
    return _play(target, plan, (0, 2_000_000 + shape.duration_us), at_window)


def stops(target: Target, shape: Shape, count: int) -> Run:
    """``count`` streams, each stopped at a random moment between its first token and its end."""
    chance = random.Random(7)
    starts = [i * shape.duration_us // count for i in range(count)]
    plan = _plan(target, shape, starts, 1)
    for socket in plan["sockets"]:
        socket["turns"][0]["stop_after_us"] = chance.randint(2 * shape.first_us, int(shape.duration_us * 0.9))
    return _play(target, plan, (0, 2 * shape.duration_us))


def steady_beside_requests(
    target: Target, shape: Shape, streams: int, asked: Shape, requests: int, waves: int, turns: int = 3
) -> Run:
    """As :func:`steady`, while ``requests`` programs ask for ``waves`` whole answers each, one after another.

    They begin within one second when all streams run.
    """
    length_us = shape.duration_us
    starts = [i * length_us // streams for i in range(streams)]
    doors = target.doors(streams + requests)
    plan = _plan(target, shape, starts, turns, doors[:streams])
    plan["requests"] = [
        {
            **door,
            "start_us": length_us + i * 1_000_000 // requests,
            "turns": [{"model": target.model, "script": asdict(asked.script())} for _ in range(waves)],
        }
        for i, door in enumerate(doors[streams:])
    ]
    return _play(target, plan, (length_us, turns * length_us))


def _plan(
    target: Target,
    shape: Shape,
    starts_us: Sequence[int],
    turns: int,
    doors: Sequence[Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    doors = target.doors(len(starts_us)) if doors is None else doors
    return {
        "url": target.url,
        "http_url": target.url.replace("ws:", "http:", 1),
        "timeout_seconds": TIMEOUT_SECONDS,
        "sockets": [
            {
                **door,
                "start_us": start_us,
                "turns": [{"model": target.model, "script": asdict(shape.script())} for _ in range(turns)],
            }
            for door, start_us in zip(doors, starts_us, strict=True)
        ],
        "requests": [],
    }


def _play(
    target: Target, plan: dict[str, Any], window_us: tuple[int, int], at_window: AtWindow | None = None
) -> Run:
    client = Child("client", ["-m", "tests.bench.client"], talks=True)
    try:
        client.say(plan)
        client.hear()
        start_us = now_us() + _LEAD_US
        client.say({"start_us": start_us})
        window = (start_us + window_us[0], start_us + window_us[1])
        _sleep_until(window[0])
        before, machine = target.cpu(), machine_cpu()
        if at_window is not None:
            at_window((window_us[1] - window_us[0]) / 1e6)
        _sleep_until(window[1])
        after, machine_after = target.cpu(), machine_cpu()
        result = client.hear()
    finally:
        client.stop()
    seconds = (window[1] - window[0]) / 1e6
    used = {
        part: max(0.0, after[part] - before[part] - target.idle_rate.get(part, 0.0) * seconds)
        for part in after
    }
    outcomes = [Outcome(**each) for each in result["outcomes"]]
    foreign = (machine_after[0] - machine[0]) - (machine_after[1] - machine[1])
    foreign_share = max(0.0, foreign) / (seconds * (psutil.cpu_count() or 1))
    return Run(
        target.name,
        outcomes,
        window,
        used,
        result["cpu_seconds"],
        result["lags_us"],
        round(foreign_share, 3),
        [Answered(**each) for each in result["answered"]],
    )


def machine_cpu() -> tuple[float, float]:
    """CPU seconds used so far by the whole machine, and by the benchmark and all that it started."""
    times = psutil.cpu_times()
    busy = times.user + times.nice + times.system + times.irq + times.softirq
    return busy, tree_cpu_seconds(psutil.Process())


def _sleep_until(at_us: int) -> None:
    time.sleep(max(0.0, (at_us - now_us()) / 1e6))
