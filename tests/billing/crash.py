"""A process that is killed at one chosen statement, over and over: each time a fork that kills itself.

``main`` takes one JSON argument, {"moves": ["place", "dispatch", "settle"]}. A first fork counts the
statements of these moves; then, for each of them, one is killed just before it and one just after it.
Prints one JSON line: how many forks were killed, and how many came through.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from billing import holds
from billing.models import Hold
from billing.usage import UsageCounts
from tests.billing import play


class Fuse:
    """Counts statements and kills the process at one of them."""

    def __init__(self, number: int, when: str) -> None:
        self.number, self.when, self.count = number, when, 0

    def __call__(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.count += 1
        if self.count == self.number and self.when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = execute(*arguments)
        if self.count == self.number and self.when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result


def act(moves: list[str], fuse: Fuse) -> None:
    # Each on a day of its own, so that each opens the day's buckets anew.
    now = timezone.now() + timedelta(days=2 * fuse.number + (fuse.when == "after"))
    hold: Hold | None = None
    with connection.execute_wrapper(fuse):
        for move in moves:
            if move == "place":
                hold = holds.place_hold(play.request(), now=now)
            assert hold is not None
            if move == "dispatch":
                holds.dispatch_hold(hold.pk, now=now)
            elif move == "release":
                holds.release_hold(hold.pk, reason="stopped", now=now)
            elif move == "settle":
                holds.settle_hold(hold.pk, usage=UsageCounts(90, 0, 0, 0, 200, 0), estimated=False, now=now)
            elif move == "sweep":
                holds.expire_holds(now=now + timedelta(minutes=5))


def fork(moves: list[str], number: int, when: str) -> tuple[bool, int]:
    """(whether the fork came through, how many statements it executed)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        fuse = Fuse(number, when)
        try:
            act(moves, fuse)
            os.write(writing, str(fuse.count).encode())
        finally:
            os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        count = pipe.read()
    return not os.WIFSIGNALED(status), int(count or 0)


def main() -> None:
    moves = json.loads(sys.argv[1])["moves"]
    through, statements = fork(moves, 0, "never")
    outcomes = [fork(moves, n, when)[0] for n in range(1, statements + 1) for when in ("before", "after")]
    report = {
        "through": through + sum(outcomes),
        "killed": len(outcomes) - sum(outcomes),
        "statements": statements,
    }
    print(json.dumps(report), flush=True)
