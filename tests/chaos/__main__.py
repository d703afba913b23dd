"""``python -m tests.chaos PROGRAMME …``: ill-treats a site of its own, on SQLite or on ``DATABASE_URL``.

    crash-points --seeds 10      a kill at each named point, by each seed

The exit status is 1 when there was a complaint.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chatsite.valkey import EmbeddedValkey


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


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos", description=__doc__)
    programmes = parser.add_subparsers(required=True)
    crash = programmes.add_parser("crash-points")
    crash.add_argument("--seeds", type=int, default=10, help="how many")
    crash.add_argument("--seed", type=int, help="this one alone")
    crash.add_argument("--point", default="", help="only points whose name contains this")
    crash.set_defaults(run=crash_points)
    arguments = parser.parse_args()
    result: int = arguments.run(arguments)
    return result


if __name__ == "__main__":
    sys.exit(main())
