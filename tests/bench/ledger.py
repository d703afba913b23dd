"""``make bench-ledger``: calls placed, dispatched and settled per second, beside a bare SQL floor.

    python -m tests.bench.ledger [--calls 400] [--workers 8]
    python -m tests.postgres python -m tests.bench.ledger

On SQLite one worker (the product has one database thread), on PostgreSQL several processes. The floor
writes the same rows into the same tables in the same three transactions with the bare driver; it knows its
bucket and asks for no rule, no price, no line. Both sync every commit as the server is set up for real use.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

ROOT = Path(__file__).resolve().parents[2]
# Product to floor, at least. Above it the books must be right too.
TARGETS = {"sqlite": 0.15, "postgresql": 0.40}
CHAT = UUID(int=0xC1)
TOKENS = (
    "input_uncached_tokens, cache_read_tokens, cache_write_tokens, tool_prompt_tokens,"
    " output_visible_tokens, thinking_tokens"
)
READ_BUCKET = "SELECT posted, held, limit_units FROM billing_bucket WHERE id = %(bucket)s{lock}"
FLOOR = {
    "place": (
        READ_BUCKET,
        "INSERT INTO billing_hold (id, idempotency_key, fingerprint, user_id, conversation_id, generation_id,"
        " attempt, purpose, model, input_tokens, output_cap_tokens, wanted_output_tokens,"
        " minimum_output_tokens, local_day, state, created_at, lease_expires_at, checkpoint_output_tokens,"
        " release_reason) VALUES (%(hold)s, %(key)s, 'f', %(bucket)s, %(chat)s, %(generation)s, 1, 'answer',"
        " 'm', 100, 400, 400, 50, '2026-03-04', 'open', %(now)s, %(now)s, 0, '')",
        "INSERT INTO billing_holdline (hold_id, bucket_id, amount) VALUES (%(hold)s, %(bucket)s, 500)",
        "UPDATE billing_bucket SET held = held + 500"
        " WHERE id = %(bucket)s AND posted + held + 500 <= limit_units",
    ),
    "dispatch": (
        "UPDATE billing_hold SET state = 'dispatched', dispatched_at = %(now)s"
        " WHERE id = %(hold)s AND state = 'open'",
    ),
    "settle": (
        "UPDATE billing_hold SET state = 'settled', closed_at = %(now)s, settled_entry_id = %(entry)s"
        " WHERE id = %(hold)s AND state = 'dispatched'",
        READ_BUCKET,
        "INSERT INTO billing_ledgerentry (id, created_at, kind, idempotency_key, bearer, hold_id, user_id,"
        f" conversation_id, generation_id, attempt, purpose, model, {TOKENS}, estimated, local_day,"
        " usage_raw, note) VALUES (%(entry)s, %(now)s, 'usage', %(key)s, 'user', %(hold)s, %(bucket)s,"
        " %(chat)s, %(generation)s, 1, 'answer', 'm', 90, 0, 0, 0, 300, 0, %(no)s, '2026-03-04', '{{}}', '')",
        "INSERT INTO billing_posting (entry_id, bucket_id, amount, over)"
        " VALUES (%(entry)s, %(bucket)s, 390, 0)",
        "UPDATE billing_bucket SET held = held - 500, posted = posted + 390 WHERE id = %(bucket)s",
        "INSERT INTO billing_usagerollup (user_id, local_day, conversation_id, model, bearer, group_id,"
        f" purpose, turn_kind, calls, estimated_calls, unpriced_calls, {TOKENS}, cost_nanousd)"
        " VALUES (%(bucket)s, '2026-03-04', %(chat)s, 'm', 'user', 0, 'answer', '',"
        " 1, 0, 1, 90, 0, 0, 0, 300, 0, 0)"
        " ON CONFLICT (user_id, local_day, conversation_id, model, bearer, group_id, purpose, turn_kind)"
        " DO UPDATE SET calls = billing_usagerollup.calls + 1,"
        " unpriced_calls = billing_usagerollup.unpriced_calls + 1,"
        " input_uncached_tokens = billing_usagerollup.input_uncached_tokens + 90,"
        " output_visible_tokens = billing_usagerollup.output_visible_tokens + 300",
        "INSERT INTO billing_pendingrollup (entry_id) VALUES (%(entry)s)",
    ),
}


def floor_call(cursor: Any, sqlite: bool, bucket: int) -> None:
    """What one call must write at the least, by the bare driver."""

    def new() -> Any:
        return uuid4().hex if sqlite else uuid4()

    hold = new()
    values = {
        "hold": hold,
        "key": str(hold),
        "entry": new(),
        "chat": CHAT.hex if sqlite else CHAT,
        "generation": new(),
        "bucket": bucket,
    }
    values |= {"now": "2026-03-04 12:00:00+00:00"[: 19 if sqlite else 25], "no": False}
    for name, statements in FLOOR.items():
        if name != "dispatch":
            cursor.execute("BEGIN IMMEDIATE" if sqlite else "BEGIN")
        for statement in statements:
            cursor.execute(_bare(statement, sqlite), values)
        if name != "dispatch":
            cursor.execute("COMMIT")


@cache
def _bare(statement: str, sqlite: bool) -> str:
    text = statement.format(lock="" if sqlite else " FOR UPDATE")
    return re.sub(r"%\((\w+)\)s", r":\1", text) if sqlite else text


def work(what: str, worker: int, shared: bool, calls: int) -> float:
    """Seconds that one worker takes for its calls."""
    from django.db import connection

    from billing import holds
    from billing.models import Bucket
    from billing.usage import UsageCounts
    from tests.billing import play

    user_id = 1 if shared else 1 + worker
    connection.ensure_connection()
    raw = sqlite3.Connection.cursor(connection.connection) if connection.vendor == "sqlite" else None
    bare = raw or connection.connection.cursor()
    bucket = Bucket.objects.get(budget__scope_id=f"floor {user_id}").pk
    usage = UsageCounts(90, 0, 0, 0, 300, 0)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    for _ in range(calls):
        if what == "floor":
            floor_call(bare, raw is not None, bucket)
        else:
            hold = holds.place_hold(play.request(user_id, model="bench:model"))
            assert holds.dispatch_hold(hold.pk)
            assert holds.settle_hold(hold.pk, usage=usage, estimated=False, raw={}).created
    return time.perf_counter() - started


def rate(what: str, workers: int, shared: bool, calls: int) -> float:
    """Calls per second of all workers together."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.ledger", "--work", json.dumps([what, n, shared, calls])],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(workers)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    taken = [float(process.communicate("go\n")[0]) for process in _started(processes)]
    return workers * calls / max(taken)


def _started(processes: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return processes


def prepare(workers: int) -> str:
    """Migrate, give every worker a budget and the model a price; returns the vendor."""
    from django.core.management import call_command
    from django.db import connection

    from billing import budgets, periods, prices
    from billing.models import Bucket, Budget

    call_command("migrate", verbosity=0)
    if connection.vendor == "postgresql":
        _sync_commits()
    prices.set_price(model="bench:model", tiers=[prices.TierPrice(100_000, 400_000)])
    for user_id in range(1, workers + 1):
        budgets.set_budget(scope="user", scope_id=user_id, unit="tokens", limit_units=10**15, period="day")
        # The floor's buckets are of a kind that no call meets.
        budget = Budget.objects.create(
            scope_kind="conversation",
            scope_id=f"floor {user_id}",
            unit="tokens",
            limit_units=10**15,
            period="none",
            valid_from=periods.BEGINNING,
        )
        Bucket.objects.create(
            budget=budget,
            unit="tokens",
            timezone="UTC",
            period_start=periods.BEGINNING,
            limit_units=10**15,
            limit_version=1,
            hard=True,
        )
    return connection.vendor


def _sync_commits() -> None:
    """The test server has fsync off, which would compare the parsers of two clients."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET fsync = on")
        cursor.execute("SELECT pg_reload_conf()")


def report(vendor: str, workers: int, calls: int) -> bool:
    """Print the table; False where a target is missed or the books are wrong."""
    from billing.books import check_books

    good = True
    print(f"{vendor}, {workers} workers, {calls} calls each; calls a second")
    print(f"{'':<20}{'ledger':>10}{'floor':>10}{'ratio':>8}")
    for shared in (True, False) if workers > 1 else (True,):
        # In turns, and the best of each: what disturbs one disturbs the other.
        best = {"ledger": 0.0, "floor": 0.0}
        for _ in range(2):
            for what in best:
                best[what] = max(best[what], rate(what, workers, shared, calls))
        ratio = best["ledger"] / best["floor"]
        name = "one shared bucket" if shared else "separate buckets"
        print(f"{name:<20}{best['ledger']:>10.0f}{best['floor']:>10.0f}{ratio:>8.2f}")
        good &= ratio >= TARGETS[vendor]
    wrong = [finding.invariant.name for finding in check_books() if not finding.ok]
    print(f"checkbooks: {wrong or 'clean'}; target: ratio of at least {TARGETS[vendor]}")
    return good and not wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    if options.work:
        import django

        django.setup()
        print(work(*json.loads(options.work)))
        return 0
    with tempfile.TemporaryDirectory(prefix="chatsite-bench-") as folder:
        os.environ["CHATSITE_DATA_DIR"] = folder
        os.environ.setdefault("SECRET_KEY", "bench-only")
        if not os.environ.get("DATABASE_URL"):
            os.environ["DATABASE_URL"] = f"sqlite:///{folder}/bench.sqlite3"
        import django

        django.setup()
        workers = 1 if os.environ["DATABASE_URL"].startswith("sqlite") else options.workers
        return 0 if report(prepare(workers), workers, options.calls) else 1


if __name__ == "__main__":
    sys.exit(main())
