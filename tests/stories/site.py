"""Real processes of the product on the test's own database and Valkey: web servers and workers.

The test sees the same rows as they do, so it can prepare and check with the ORM.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import connection

from chatsite.launcher.address import Address
from chatsite.launcher.supervisor import web_command, worker_command
from chatsite.valkey import find_free_port
from tests.forking import ROOT, Zygote

START_SECONDS = 60.0


class Program:
    """A running process of the product; what it prints goes to a file that is shown when it fails."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.fork = _zygote().fork(name, command, folder / f"{name}.log", environment=environment)

    @property
    def pid(self) -> int:
        return self.fork.pid

    @property
    def ended(self) -> bool:
        return self.fork.ended.is_set()

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to tidy up."""
        self.fork.kill()
        self.fork.wait(10)

    def terminate(self) -> None:
        self.fork.terminate()

    def wait(self, seconds: float) -> None:
        """Until it has ended by itself."""
        self.fork.wait(seconds)

    def read_log(self) -> str:
        return self.fork.read_log()


@functools.cache
def _zygote() -> Zygote:
    """One for all stories of this process."""
    folder = Path(tempfile.mkdtemp(prefix="chatsite-zygote-"))
    zygote = Zygote("tests.stories.zygote", dict(_inherited()), folder / "zygote.log")
    zygote.wait_until_ready()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(zygote.stop)
    return zygote


def _inherited() -> Iterator[tuple[str, str]]:
    """They end by SIGKILL, which leaves no record of what was covered: recording it is spared."""
    return ((name, value) for name, value in os.environ.items() if not name.startswith("COVERAGE_"))


class Web(Program):
    port: int

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self.ended:
            try:
                with urllib.request.urlopen(f"http://{self.address}/healthz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"{self.name} did not start:\n{self.read_log()}")


class Site:
    """Starts and ends programs that share the test's database."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self.environment = {
            **dict(_inherited()),
            "DJANGO_SETTINGS_MODULE": "chatsite.settings",
            "SECRET_KEY": "tests-only",
            "CHATSITE_DATA_DIR": str(folder),
            "DATABASE_URL": database_url(),
            "REDIS_URL": os.environ["REDIS_URL"],
            "DEMO_MODEL": "1",
            "LEASE_SECONDS": "4",
            "SWEEP_INTERVAL_SECONDS": "0.5",
            "DRAIN_SECONDS": "20",
            # A site that outlives a test would open and close incidents in the tables of the next.
            "ALERT_INTERVAL_SECONDS": "86400",
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def start_web(self, **environment: str) -> Web:
        port = find_free_port()
        web = Web(
            f"web-{port}",
            web_command(Address("127.0.0.1", port)),
            {**self.environment, **environment},
            self.folder,
        )
        web.port = port
        self.programs.append(web)
        web.wait_until_ready()
        return web

    def start_worker(self, **environment: str) -> Program:
        number = len(self.programs)
        worker = Program(
            f"worker-{number}",
            [*worker_command(), "-n", f"worker{number}@%h"],
            {**self.environment, **environment},
            self.folder,
        )
        self.programs.append(worker)
        return worker

    def stop(self) -> None:
        for program in self.programs:
            program.kill()

    def logs(self) -> str:
        return "\n".join(f"--- {program.name}\n{program.read_log()}" for program in self.programs)


def database_url() -> str:
    """The address of the test database of this process."""
    found: dict[str, Any] = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    host, port = found.get("HOST") or "localhost", found.get("PORT") or 5432
    user, password = found.get("USER") or "", found.get("PASSWORD") or ""
    credentials = f"{user}:{password}@" if password else f"{user}@" if user else ""
    if str(host).startswith("/"):
        return f"postgres://{credentials}/{found['NAME']}?host={host}&port={port}"
    return f"postgres://{credentials}{host}:{port}/{found['NAME']}"
