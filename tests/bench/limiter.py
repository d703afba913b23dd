"""``make bench-limiter``: many turns at once against a provider that allows few a minute, in real time.

``python -m tests.bench.limiter [--turns 200] [--per-minute 60] [--json FILE]``

The whole product (web, worker, Valkey) over HTTP against a scripted provider in a process of its own, which
refuses in a sliding window. Exit status 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import django
import orjson

from tests.bench.processes import Child, fetch_json
from tests.bench.product import Product, product
from tests.listener import ENDS
from tests.stories.client import Client

MODEL = "openai:50-20-5"
REFUSED_PERCENT_LIMIT = 0.5
THROUGHPUT_PERCENT_LIMIT = 85.0
# A little for the worker's clock, which counts in seconds, beside twice the fair wait.
LATE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn met; seconds since the common start."""

    end: str
    attempts: int
    first_told: float | None  # the moment at which the first event of waiting said it would be sent
    answered_at: float


@dataclass(frozen=True, slots=True)
class Figures:
    turns: int
    completed: int
    requests: int
    refused_percent: float
    throughput_percent: float
    longest_wait_to_fair: float
    told_too_early_seconds: float
    books_balance: bool


def seed(per_minute: int) -> dict[str, Any]:
    from django.core.management import call_command

    limits = {"context": 128_000, "max_output": 4096, "requests_per_minute": per_minute}
    call_command("model_add", MODEL, input_usd="0.10", output_usd="0.40", stdout=io.StringIO(), **limits)
    return {}


async def ask(door: dict[str, str], port: int, start: asyncio.Event) -> Turn:
    conversation_id = uuid.UUID(door["path"].split("/")[-2])
    async with Client(f"127.0.0.1:{port}", conversation_id, door["key"]) as client:
        await start.wait()
        began = time.monotonic()
        told, waits = None, 0
        await client.send("turn.create", turn_id=uuid.uuid4(), text="Count, please.", model=MODEL)
        while (event := await client.receive(900.0))["type"] not in ENDS:
            if event["type"] == "generation.waiting":
                waits += 1
                if told is None:
                    told = time.monotonic() - began + event["wait_seconds"]
            if event["type"] == "delta":
                break
        answered_at = time.monotonic() - began
        end = event if event["type"] in ENDS else await client.until_end()
        return Turn(end["type"].removeprefix("generation."), waits, told, answered_at)


async def play(running: Product, turns: int) -> list[Turn]:
    doors = running.doors(turns)
    start = asyncio.Event()
    tasks = [asyncio.create_task(ask(door, running.port, start)) for door in doors]
    await asyncio.sleep(3)
    start.set()
    return list(await asyncio.gather(*tasks))


def figures(
    turns: Sequence[Turn], requests: Sequence[dict[str, Any]], per_minute: int, balance: bool
) -> Figures:
    answered = sorted(turn.answered_at for turn in turns)
    # The burst apart, what the provider allows is one every so many seconds.
    allowed = per_minute * answered[-1] / 60
    fair = [(place + 1) / (per_minute * 0.9) * 60 for place in range(len(answered))]
    ratios = [max(wait - LATE_SECONDS, 0) / due for wait, due in zip(answered, fair, strict=True)]
    late = [turn.answered_at - turn.first_told for turn in turns if turn.first_told is not None]
    refused = sum(request["refused"] for request in requests)
    return Figures(
        turns=len(turns),
        completed=sum(turn.end == "completed" for turn in turns),
        requests=len(requests),
        refused_percent=round(100 * refused / len(requests), 2),
        throughput_percent=round(100 * (len(turns) - 1) / allowed, 1),
        longest_wait_to_fair=round(max(ratios), 2),
        told_too_early_seconds=round(max(late, default=0.0), 1),
        books_balance=balance,
    )


def missed(found: Figures) -> list[str]:
    checks = {
        "every turn completes": found.completed == found.turns,
        f"refused <= {REFUSED_PERCENT_LIMIT} %": found.refused_percent <= REFUSED_PERCENT_LIMIT,
        f"throughput >= {THROUGHPUT_PERCENT_LIMIT:g} %": found.throughput_percent >= THROUGHPUT_PERCENT_LIMIT,
        "no wait over twice the fair one": found.longest_wait_to_fair <= 2,
        "the books balance": found.books_balance,
    }
    return [name for name, met in checks.items() if not met]


def run(turns: int, per_minute: int) -> Figures:
    with ExitStack() as stack:
        upstream = Child(
            "upstream",
            ["-m", "tests.fakes.provider_server", "--requests-per-minute", str(per_minute)],
            talks=True,
        )
        stack.callback(upstream.stop)
        url = upstream.read_line().decode().split()[-1]
        seeding = ("tests.bench.limiter", "seed", "--per-minute", str(per_minute))
        running = stack.enter_context(product(url, turns, seeding, PROVIDER_HOSTS="127.0.0.1"))
        played = asyncio.run(play(running, turns))
        balance, report = running.checkbooks()
        if not balance:
            print(report)
        return figures(played, fetch_json(f"{url}/requests"), per_minute, balance)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", nargs="?", default="run", choices=["run", "seed"])
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--per-minute", type=int, default=60)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "seed":
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
        django.setup()
        print(orjson.dumps(seed(arguments.per_minute)).decode())
        return 0
    found = run(arguments.turns, arguments.per_minute)
    for name, value in asdict(found).items():
        print(f"{name.replace('_', ' '):26} {value}")
    if arguments.json:
        arguments.json.write_bytes(orjson.dumps(asdict(found)))
    failures = missed(found)
    print(f"missed: {', '.join(failures)}" if failures else "all targets met")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
