"""One process of the hammer: several clients, each with a connection of its own, on one database.

``main`` takes one JSON argument, {"work": "spend", "clients": 8, ...}; it says "ready", waits for a line,
works, and prints one JSON line. Started by ``test_hammer.py`` with Django set up.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from billing import holds
from billing.errors import BudgetExceeded
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


WORK = {"spend": spend, "close": close}


def client(
    plan: dict[str, Any], user_id: int, total: Counter[str], lock: threading.Lock, start: threading.Barrier
) -> None:
    results: Counter[str] = Counter()
    try:
        connection.ensure_connection()
        start.wait()
        WORK[plan["work"]](plan, user_id, results)
    except Exception as error:
        results[f"error: {type(error).__name__}: {error}"] += 1
    finally:
        connection.close()
        with lock:
            total.update(results)


def main() -> None:
    plan = json.loads(sys.argv[1])
    total: Counter[str] = Counter()
    # The time-out: a client that gets no connection must fail the test, not hang it.
    start = threading.Barrier(plan["clients"] * len(plan["user_ids"]) + 1, timeout=60)
    lock = threading.Lock()
    clients = [
        threading.Thread(target=client, args=(plan, user_id, total, lock, start), daemon=True)
        for user_id in plan["user_ids"]
        for _ in range(plan["clients"])
    ]
    for one in clients:
        one.start()
    print("ready", flush=True)
    sys.stdin.readline()
    start.wait()
    for one in clients:
        one.join()
    print(json.dumps(total), flush=True)
