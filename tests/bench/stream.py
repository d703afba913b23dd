"""``make bench-stream``: what the product adds to a stream, beside the floor, in one run.

``python -m tests.bench.stream [--streams 100] [--tokens 200] [--interval-ms 20] [--mode steady|burst|both]
[--provider openai|gemini|both] [--rounds 3] [--stops 50] [--requests 50] [--waves 1] [--json FILE]
[--profile] [--floor-only]``

Exit status 1 when a target is missed or the run does not count.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.bench import load, servers
from tests.bench.load import Run, Shape
from tests.bench.product import Product, product
from tests.bench.report import (
    FLOOR_LIMIT_MS_A_TOKEN,
    Figures,
    Target,
    figures,
    percentile,
    request_targets,
    stop_delays_ms,
    table,
    targets,
)
from tests.bench.sampling import Profile

IDLE_SECONDS = 10.0
STOP_LIMIT_MS = 500.0
REQUEST_LIMIT_MS = 5_000.0
# A whole answer after two seconds.
REQUEST_SHAPE = Shape(tokens=40, interval_us=40_000, first_us=440_000)
GEMINI_INTERVAL_US = 1_000_000 // 12
GEMINI_GROUP = 4


@dataclass(slots=True)
class Bench:
    """What is to be run, and what came of it."""

    streams: int
    rounds: int
    stops: int
    requests: int
    waves: int
    profile: bool = False
    figures: list[Figures] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    product_turns: int = 0  # turns that must have an entry in the ledger

    def scenario(self, name: str, shape: Shape, pair: list[load.Target], product_pid: int | None) -> None:
        """All rounds of one scenario, floor and product by turns, so that noise falls on both alike."""
        play = load.steady if name.endswith("steady") else load.burst
        runs: dict[str, list[Run]] = {target.name: [] for target in pair}
        for number in range(self.rounds):
            for target in pair:
                say(f"{name}: round {number + 1} of {self.rounds}, {target.name}")
                profile = None
                if self.profile and product_pid and target.name == "product" and number == 0:
                    profile = Profile(product_pid)
                runs[target.name].append(
                    play(target, shape, self.streams, None if profile is None else profile.start)
                )
                if profile is not None:
                    self.notes.append(f"{name}\n{profile.report()}")
        found = {target: figures(name, runs_of) for target, runs_of in runs.items()}
        self.figures += found.values()
        if "product" in found:
            self.targets += targets(found["product"], found.get("floor"))
            self.product_turns += found["product"].completed

    def stop_scenario(self, shape: Shape, target: load.Target, upstream: servers.Upstream) -> None:
        say(f"stop: {self.stops} streams")
        run = load.stops(target, shape, self.stops)
        delays = stop_delays_ms(run, upstream.requests())
        closed = [delay for delay in delays if delay is not None]
        p50, p95 = percentile(closed, 0.50), percentile(closed, 0.95)
        self.notes.append(
            f"stop: {len(delays)} sent, upstream closed after p50 {p50:.1f} ms, p95 {p95:.1f} ms,"
            f" max {max(closed, default=float('nan')):.1f} ms"
        )
        self.targets.append(Target("stop to upstream closed p95", round(p95, 1), STOP_LIMIT_MS, "ms"))
        self.targets.append(Target("stops that did not close the upstream", delays.count(None), 0))
        ended = sum(outcome.end in ("generation.stopped", "generation.completed") for outcome in run.outcomes)
        self.targets.append(Target("stopped turns without an end", len(run.outcomes) - ended, 0))
        self.targets.append(Target("stopped turns: faults", sum(_faults(run.outcomes)), 0))
        self.product_turns += ended

    def request_scenario(self, shape: Shape, target: load.Target) -> None:
        say(f"beside requests: {self.streams} streams, {self.requests} programs that ask over REST")
        run = load.steady_beside_requests(
            target, shape, self.streams, REQUEST_SHAPE, self.requests, self.waves
        )
        found = figures("openai beside requests", [run])
        self.figures.append(found)
        took = [each.took_us / 1000 for each in run.answered]
        faults = sorted({each.fault for each in run.answered if each.fault})
        self.notes.append(
            f"beside requests: {len(took)} asked, answered after p50 {percentile(took, 0.50):.0f} ms,"
            f" p95 {percentile(took, 0.95):.0f} ms, max {max(took, default=float('nan')):.0f} ms;"
            f" the provider alone takes {REQUEST_SHAPE.duration_us / 1000:.0f} ms"
            + (f"; {faults}" if faults else "")
        )
        self.targets += [*targets(found, None), *request_targets(run, REQUEST_LIMIT_MS)]
        self.product_turns += found.completed + sum(not each.fault for each in run.answered)

    def books(self, running: Product) -> None:
        """Every turn has its entry, and every invariant of the ledger holds."""
        clean, text = running.checkbooks()
        if not clean:
            self.notes.append(f"checkbooks:\n{text}")
        self.targets.append(Target("checkbooks: failed", int(not clean), 0))
        counted = running.count()
        self.notes.append(f"books: {counted['entries']} entries, generations {counted['states']}")
        self.targets.append(Target("turns without an entry", self.product_turns - counted["entries"], 0))

    def floor_counts(self) -> bool:
        """Whether the machine was quiet enough: the floor itself stayed below its limit."""
        floors = [each.cpu_ms_a_token for each in self.figures if each.target == "floor"]
        return all(value <= FLOOR_LIMIT_MS_A_TOKEN for value in floors)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _faults(outcomes: Iterable[Any]) -> Iterable[int]:
    for each in outcomes:
        yield each.lost + each.doubled + each.disordered + each.foreign + each.seq_faults + each.text_differs


def shapes(given: argparse.Namespace) -> dict[str, Shape]:
    every = {
        "openai": Shape(given.tokens, int(given.interval_ms * 1000)),
        "gemini": Shape(given.tokens, GEMINI_INTERVAL_US, GEMINI_GROUP),
    }
    return {name: shape for name, shape in every.items() if given.provider in (name, "both")}


def scenarios(provider: str, mode: str) -> list[str]:
    # A burst through the slower client has no target; it runs when it is asked for.
    if mode != "both":
        return [f"{provider} {mode}"]
    return [f"{provider} steady"] + ([f"{provider} burst"] if provider == "openai" else [])


def run(given: argparse.Namespace) -> Bench:
    bench = Bench(given.streams, given.rounds, given.stops, given.requests, given.waves, given.profile)
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.upstream())
        floor = stack.enter_context(servers.floor(upstream.url))
        running = None
        if not given.floor_only:
            users = max(given.streams + given.requests, given.stops)
            running = stack.enter_context(product(upstream.url, users))
        for provider, shape in shapes(given).items():
            pair = [floor]
            if running is not None:
                target = running.target(f"{provider}:bench")
                warm_up = load.burst(target, Shape(5, 20_000), 2)
                bench.product_turns += sum(each.end == "generation.completed" for each in warm_up.outcomes)
                target.measure_idle(given.idle_seconds)
                pair.append(target)
            for name in scenarios(provider, given.mode):
                bench.scenario(name, shape, pair, running.web.pid if running else None)
            if running is not None and provider == "openai" and given.stops:
                bench.stop_scenario(shape, pair[1], upstream)
            if running is not None and provider == "openai" and given.requests:
                bench.request_scenario(shape, pair[1])
        if running is not None:
            bench.books(running)
    return bench


def show(bench: Bench) -> bool:
    """Print everything; true when the run counts and every target was met."""
    print(f"\n{platform.machine()}, {psutil.cpu_count()} cores, Python {platform.python_version()}\n")
    print(table(bench.figures))
    for note in bench.notes:
        print(note)
    counts = bench.floor_counts()
    if not counts:
        print(f"This run does not count: the floor took over {FLOOR_LIMIT_MS_A_TOKEN} ms CPU a token.")
    for target in bench.targets:
        print(target.line())
    return counts and all(target.passed for target in bench.targets)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests.bench.stream", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--interval-ms", type=float, default=20.0, help="of openai; gemini sends 12 chunks/s")
    parser.add_argument("--mode", choices=["steady", "burst", "both"], default="both")
    parser.add_argument("--provider", choices=["openai", "gemini", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument(
        "--requests", type=int, default=50, help="programs that ask over REST beside the streams"
    )
    parser.add_argument("--waves", type=int, default=1, help="answers that each of them asks for, in a row")
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--profile", action="store_true", help="sample the web process with py-spy")
    parser.add_argument("--floor-only", action="store_true", help="measure the rig without the product")
    return parser.parse_args(arguments)


def main() -> None:
    given = parse()
    bench = run(given)
    passed = show(bench)
    if given.json:
        given.json.write_text(json.dumps({**asdict(bench), "counts": bench.floor_counts()}, indent=1))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
