"""The hammer: clients, each a process with a connection of its own, all on one database.

``main`` takes a JSON list of plans, {"work": "spend", "clients": 8, ...}; it forks a process for each client,
says "ready" when all are connected, waits for a line, lets them go, and prints one JSON line with what they
report together. Started by ``test_hammer.py`` with Django set up: forking saves each client the start.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from billing import holds
from billing.errors import BudgetExceeded
from billing.rollups import fold_pending
from billing.usage import UsageCounts
from tests.billing import play


def spend(plan: dict[str, Any], user_id: int, results: Counter[str]) -> None:
    """Call until the budget refuses; settle every call three times, each time with other figures."""
    while True:
        asked = play.request(
            user_id,
            input_tokens=plan["input_tokens"],
            wanted_output_tokens=plan["output_tokens"],
            minimum_output_tokens=plan["output_tokens"],
        )
        try:
            hold = holds.place_hold(asked)
        except BudgetExceeded as refusal:
            results["refused"] += 1
            results["events"] += len(holds.record_refusal(refusal))
            return
        results["admitted"] += 1
        assert holds.place_hold(asked).pk == hold.pk
        assert holds.dispatch_hold(hold.pk)
        for extra in range(3):
            usage = UsageCounts(
                plan["input_tokens"] + plan["over"], 0, 0, 0, plan["output_tokens"] - extra, 0
            )
            settlement = holds.settle_hold(hold.pk, usage=usage, estimated=False)
            results["settled"] += settlement.created
            results["events"] += len(settlement.events)
        if plan["calls"] and results["admitted"] >= plan["calls"]:
            return


def close(plan: dict[str, Any], _: int, results: Counter[str]) -> None:
    """Settle, sweep or release the same holds as everybody else."""
    usage = UsageCounts(input_uncached=10, output_visible=10)
    later = timezone.now() + timedelta(hours=1)
    for key in plan["holds"]:
        if plan["by"] == "settle":
            results["settle"] += holds.settle_hold(UUID(key), usage=usage, estimated=False).created
        elif plan["by"] == "release":
            results["release"] += holds.release_hold(UUID(key), reason="rejected")
        else:
            results["sweep"] += len(holds.expire_holds(now=later, limit=3))


def fold(plan: dict[str, Any], _: int, results: Counter[str]) -> None:
    """Fold what is pending, a few entries at a time, beside everybody who settles and folds."""
    for _ in range(plan["rounds"]):
        results["folded"] += fold_pending(limit=3)


WORK = {"spend": spend, "close": close, "fold": fold}


def client(plan: dict[str, Any], user_id: int, started: int, go: int) -> Counter[str]:
    """One client: connects, says so, waits for the start, works."""
    results: Counter[str] = Counter()
    try:
        try:
            connection.ensure_connection()
        finally:
            os.write(started, b".")  # also when it failed: the others must not wait
        os.read(go, 1)  # nothing comes: it ends when the parent closes it, for all at once
        WORK[plan["work"]](plan, user_id, results)
    except Exception as error:
        results[f"error: {type(error).__name__}: {error}"] += 1
    return results


def fork_client(plan: dict[str, Any], user_id: int, started: int, go: tuple[int, int]) -> int:
    """A process for one client; returns where its results can be read."""
    results, answer = os.pipe()
    if os.fork() == 0:
        os.close(go[1])
        found = client(plan, user_id, started, go[0])
        os.write(answer, json.dumps(found).encode())
        os._exit(0)
    os.close(answer)
    return results


def main() -> None:
    plans = json.loads(sys.argv[1])
    ready, started = os.pipe()
    go = os.pipe()
    clients = [
        fork_client(plan, user_id, started, go)
        for plan in plans
        for user_id in plan["user_ids"]
        for _ in range(plan["clients"])
    ]
    waiting = len(clients)
    while waiting:
        waiting -= len(os.read(ready, waiting))
    print("ready", flush=True)
    sys.stdin.readline()
    os.close(go[1])
    total: Counter[str] = Counter()
    for results in clients:
        with os.fdopen(results) as told:
            total.update(json.load(told))
    print(json.dumps(total), flush=True)
