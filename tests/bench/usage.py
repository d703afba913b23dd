"""``make bench-usage``: reading and writing beside a ledger of ten million entries.

    python -m tests.postgres python -m tests.bench.usage [--entries 10000000] [--users 5000] [--days 400]
    python -m tests.bench.usage --entries 1000000

Fills a ledger, asks it what pages, REST and the admin ask, and prints the times and the plans. Then places
holds by turns there and in an empty ledger on the same server. The exit status is 1 where a target is missed,
a table that must not be read through was, or the books are wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from tests.bench.usage_questions import Question, questions

ROOT = Path(__file__).resolve().parents[2]
PLACE_RATIO = 1.20


def measure(question: Question) -> tuple[float, float]:
    """p50 and p95 in milliseconds."""
    question.ask()
    taken = []
    for _ in range(question.times):
        started = time.perf_counter()
        question.ask()
        taken.append((time.perf_counter() - started) * 1000)
    cuts = quantiles(taken, n=20, method="inclusive")  # of the calls that were made, none made up beyond
    return cuts[9], cuts[18]


def plans(question: Question) -> list[str]:
    """The plan of every SELECT that the question sends, with its parameters bound as they were."""
    from django.db import connection

    asked: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        question.ask()
    explain = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "
    found = []
    for sql, params in asked:
        if sql.startswith(("SELECT", "WITH")):
            with connection.cursor() as cursor:
                cursor.execute(explain + sql, params)
                rows = cursor.fetchall()
            found.append("\n".join(str(row[0] if len(row) == 1 else row[-1]) for row in rows))
    return found


# What the statements of billing call these tables.
_ALIASES = {"billing_usagerollup": "r", "billing_ledgerentry": "e"}


def scanned(plan: str, large: tuple[str, ...]) -> list[str]:
    """Lines of the plan that read a large table from end to end."""
    wrong = []
    for line in plan.splitlines():
        words = line.split()
        for table in large:
            by_sqlite = words[:1] == ["SCAN"] and words[1] in (table, _ALIASES.get(table))
            if f"Seq Scan on {table}" in line or (by_sqlite and "INDEX" not in line):
                wrong.append(line.strip())
    return wrong


_INDEX = re.compile(
    r'(?:Scan(?: Backward)? using|Bitmap Index Scan on|USING(?: COVERING)? INDEX) "?([a-z]\w+)'
)


def used_indexes(plan: str) -> set[str]:
    """The indexes that a plan names."""
    return set(_INDEX.findall(plan))


def report(size: Any, *, show_plans: bool, only: str = "") -> bool:
    """Ask all questions and print the table; False where a target is missed or a large table is scanned."""
    good = True
    print(f"\n{'':<42}{'p50':>9}{'p95':>9}{'target':>9}   indexes")
    for question in questions(size):
        if not re.search(only, question.name):
            continue
        p50, p95 = measure(question)
        found = plans(question)
        wrong = [line for plan in found for line in scanned(plan, question.large)]
        indexes = sorted(set().union(*(used_indexes(plan) for plan in found)))
        late = "" if p95 <= question.target_ms else " LATE"
        print(
            f"{question.name:<42}{p50:>6.1f} ms{p95:>6.1f} ms{question.target_ms:>6.0f} ms{late}  "
            f" {', '.join(indexes)}",
            flush=True,
        )
        for line in wrong:
            print(f"    READ FROM END TO END: {line}")
        if show_plans or wrong or late:
            print("\n".join(f"    {line}" for plan in found for line in plan.splitlines()))
        good &= not wrong and not late
    return good


def place_holds() -> None:
    """A worker: for every line on stdin, place that many holds; answer with the milliseconds of each."""
    from billing import holds
    from billing.models import Account
    from conversations.models.ids import new_id
    from tests.billing import play

    users = Account.objects.count()
    chance = random.Random(os.getpid())
    print("ready", flush=True)
    for line in sys.stdin:
        now, count = datetime.fromisoformat(line.split()[0]), int(line.split()[1])
        taken = []
        for _ in range(count):
            generation = new_id()
            asked = play.request(
                chance.randint(1, users),
                model="bench:model-1",
                key=f"{generation}:1",
                generation_id=generation,
            )
            started = time.perf_counter()
            holds.place_hold(asked, now=now)
            taken.append((time.perf_counter() - started) * 1000)
        print(json.dumps(taken), flush=True)


def compare_places(size: Any, empty_url: str, *, rounds: int = 80, count: int = 50) -> bool:
    """Holds placed by turns in the full ledger and in an empty one; True where p95 is within the ratio."""
    now = (size.last_day + timedelta(days=1, hours=12)).isoformat()
    workers = {
        name: subprocess.Popen(
            [sys.executable, "-m", "tests.bench.usage", "--work"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, url in {"empty": empty_url, "full": os.environ["DATABASE_URL"]}.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in workers}
    for worker in workers.values():
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for turn in range(rounds):
        for name in sorted(workers, reverse=bool(turn % 2)):
            worker = workers[name]
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write(f"{now} {count}\n")
            worker.stdin.flush()
            found = json.loads(worker.stdout.readline())
            # The first rounds open connections' caches and the day's pages.
            taken[name] += found if turn >= rounds // 4 else []
    for worker in workers.values():
        worker.communicate()
    p95 = {name: quantiles(values, n=20)[18] for name, values in taken.items()}
    p50 = {name: quantiles(values, n=20)[9] for name, values in taken.items()}
    ratio = p95["full"] / p95["empty"]
    print(
        f"\nplace_hold p50/p95: empty {p50['empty']:.2f}/{p95['empty']:.2f} ms,"
        f" full {p50['full']:.2f}/{p95['full']:.2f} ms; p95 ratio {ratio:.2f} (at most {PLACE_RATIO})"
    )
    return ratio <= PLACE_RATIO


def run(size: Any, folder: str, *, show_plans: bool, only: str) -> bool:
    from django.core.management import call_command
    from django.db import connection

    from billing.books import INVARIANTS, check
    from billing.models import LedgerEntry
    from tests.bench import usage_seed

    call_command("migrate", verbosity=0)
    print(f"{connection.vendor}: {size.entries:,} entries of {size.users:,} users in {size.days} days")
    if LedgerEntry.objects.exists():
        print("  there already: asked as it is")
    else:
        usage_seed.fill(size)
    good = report(size, show_plans=show_plans, only=only)
    if only:
        return good
    good &= compare_places(size, _empty_ledger(folder, size.users))
    started = time.perf_counter()
    now = size.last_day + timedelta(days=1, hours=12)
    wrong = [one.name for one in INVARIANTS if not check(one, now=now).ok]
    print(f"checkbooks: {wrong or 'clean'}, {time.perf_counter() - started:.0f} s")
    return good and not wrong


def _empty_ledger(folder: str, users: int) -> str:
    """A second database on the same server, with the same people and no calls; returns its URL."""
    from django.db import connection

    url = os.environ["DATABASE_URL"]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("DROP DATABASE IF EXISTS empty_ledger")
            cursor.execute("CREATE DATABASE empty_ledger")
        url = url.replace("/postgres?", "/empty_ledger?")
    else:
        url = f"sqlite:///{folder}/empty.sqlite3"
    subprocess.run(
        [sys.executable, "-m", "tests.bench.usage", "--empty", str(users)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": url},
        check=True,
    )
    return url


def _make_empty(users: int) -> None:
    from django.core.management import call_command

    from tests.bench import usage_seed

    call_command("migrate", verbosity=0)
    usage_seed.people(users)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entries", type=int, default=None, help="10 million on PostgreSQL, 1 on SQLite")
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--plans", action="store_true", help="print every plan")
    parser.add_argument("--only", default="", help="ask what matches this alone, and neither holds nor books")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--empty", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    with tempfile.TemporaryDirectory(prefix="chatsite-bench-") as folder:
        os.environ.setdefault("CHATSITE_DATA_DIR", folder)
        os.environ.setdefault("SECRET_KEY", "bench-only")
        if not os.environ.get("DATABASE_URL"):
            os.environ["DATABASE_URL"] = f"sqlite:///{folder}/bench.sqlite3"
        import django

        django.setup()
        from tests.bench.usage_seed import Size

        if options.work:
            place_holds()
            return 0
        if options.empty is not None:
            _make_empty(options.empty)
            return 0
        on_sqlite = os.environ["DATABASE_URL"].startswith("sqlite")
        entries = options.entries or (1_000_000 if on_sqlite else 10_000_000)
        size = Size(entries, options.users, options.days)
        return 0 if run(size, folder, show_plans=options.plans, only=options.only) else 1


if __name__ == "__main__":
    sys.exit(main())
