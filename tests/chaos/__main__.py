"""``python -m tests.chaos PROGRAMME …``: ill-treats a site of its own, on SQLite or on ``DATABASE_URL``.

    crash-points --seeds 10      a kill at each named point, by each seed
    busy --turns 300             a provider that refuses a fifth of all calls
    storm --turns 200            faults of all kinds while people ask; brings a PostgreSQL of its own

The exit status is 1 when there was a complaint.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chatsite.valkey import EmbeddedValkey
from tests.browser import build_pages, find_chromium
from tests.postgres import postgres

if TYPE_CHECKING:
    from tests.chaos.storm import Verdict


def say(line: str) -> None:
    print(line, flush=True)


@contextmanager
def site_folder() -> Iterator[tuple[Path, EmbeddedValkey]]:
    """A data folder and a Valkey; Django is set up on a fresh database."""
    folder = Path(tempfile.mkdtemp(prefix="chatsite-chaos-"))
    valkey = EmbeddedValkey(folder / "valkey")
    valkey.start()
    os.environ.update(
        DJANGO_SETTINGS_MODULE="tests.chaos.settings",
        SECRET_KEY="tests-only",
        CHATSITE_DATA_DIR=str(folder),
        CHATSITE_ENV_FILE=os.devnull,
        REDIS_URL=valkey.url,
        LOG_LEVEL="WARNING",
        OPENAI_API_KEY="sk-test",
    )
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    try:
        yield folder, valkey
    finally:
        valkey.stop()
        if os.environ.get("CHAOS_KEEP") != "1":
            shutil.rmtree(folder, ignore_errors=True)


def engine() -> str:
    from django.db import connection

    return "PostgreSQL" if connection.vendor == "postgresql" else "SQLite"


def crash_points(arguments: argparse.Namespace) -> int:
    with site_folder() as (folder, valkey):
        from tests.chaos import crash_points
        from tests.chaos.world import World

        points = [name for name in crash_points.POINTS if arguments.point in name]
        seeds = [arguments.seed] if arguments.seed is not None else range(1, arguments.seeds + 1)
        with World(folder, redis_url=valkey.url) as world:
            verdict = asyncio.run(crash_points.run(world, seeds=seeds, points=points, say=say))
            if verdict.complaints:
                say(world.logs())
    ends = ", ".join(f"{count} {state}" for state, count in sorted(verdict.ends.items()))
    say(
        f"{engine()}: {len(points)} points × {len(seeds)} seeds, {verdict.points} processes killed, "
        f"{verdict.questions} questions: {ends}; {verdict.reconnects} reconnects; "
        f"{len(verdict.complaints)} complaints"
    )
    return 1 if verdict.complaints else 0


def storm(arguments: argparse.Namespace) -> int:
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    say(f"seed {seed} (again with --seed {seed})")
    build_pages()
    with ExitStack() as stack:
        server = None if arguments.sqlite else stack.enter_context(postgres())
        if server is not None:
            os.environ["DATABASE_URL"] = server.url
        folder, valkey = stack.enter_context(site_folder())
        from tests.chaos.plan import Plan
        from tests.chaos.storm import Storm
        from tests.chaos.world import World

        world = stack.enter_context(World(folder, redis_url=valkey.url, CHAOS_DROP_PERCENT="20"))
        browsers = arguments.browsers if find_chromium() else 0
        plan = Plan(seed, turns=arguments.turns, people=arguments.people, browsers=browsers)
        restart = None if server is None else server.restart

        async def blow() -> Verdict:
            return await Storm(world, plan, valkey=valkey, restart_database=restart).run()

        verdict = asyncio.run(blow())
        if verdict.complaints:
            say(world.logs())
        say(f"{engine()}, seed {seed}: {verdict.summary()}")
        for complaint in verdict.complaints:
            say(f"    {complaint}")
    return 1 if verdict.complaints else 0


def busy(arguments: argparse.Namespace) -> int:
    with site_folder() as (folder, valkey):
        from tests.chaos import busy
        from tests.chaos.world import World

        options = busy.provider_options(arguments.seed)
        with World(folder, redis_url=valkey.url, provider=options) as world:
            verdict = asyncio.run(busy.run(world, turns=arguments.turns, people=arguments.people))
    say(f"{engine()}, seed {arguments.seed}: {verdict.summary()}")
    for complaint in verdict.complaints:
        say(f"    {complaint}")
    return 1 if verdict.completed_percent < 99 or verdict.early else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    programmes = parser.add_subparsers(required=True)
    crash = programmes.add_parser("crash-points")
    crash.add_argument("--seeds", type=int, default=10, help="how many")
    crash.add_argument("--seed", type=int, help="this one alone")
    crash.add_argument("--point", default="", help="only points whose name contains this")
    crash.set_defaults(run=crash_points)
    refuse = programmes.add_parser("busy")
    refuse.add_argument("--seed", type=int, default=1)
    refuse.add_argument("--turns", type=int, default=300)
    refuse.add_argument("--people", type=int, default=30)
    refuse.set_defaults(run=busy)
    blow = programmes.add_parser("storm")
    blow.add_argument("--seed", type=int, help="replays the same faults")
    blow.add_argument("--turns", type=int, default=200)
    blow.add_argument("--people", type=int, default=12)
    blow.add_argument("--browsers", type=int, default=3, help="how many of the people sit at a real Chromium")
    blow.add_argument("--sqlite", action="store_true", help="on SQLite, which is not restarted")
    blow.set_defaults(run=storm)
    arguments = parser.parse_args()
    result: int = arguments.run(arguments)
    return result


if __name__ == "__main__":
    sys.exit(main())
