"""A site of many real processes that may be killed at any time, and a provider of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chatsite.launcher.address import Address
from chatsite.launcher.supervisor import web_command, worker_command
from chatsite.valkey import find_free_port
from tests.billing.processes import database_url
from tests.chaos.fuses import Order
from tests.forking import ROOT, START_SECONDS, Fork, Zygote


class World:
    """``with World(folder) as world``: forks webs and workers on the database and Valkey of this process."""

    def __init__(self, folder: Path, *, redis_url: str, provider: tuple[str, ...] = (), **environment: str):
        self.folder = folder
        self.upstream = Upstream(*provider)
        self._counter: Counter[str] = Counter()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        self._zygote = Zygote(
            "tests.chaos.zygote",
            {
                **inherited,
                "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
                "SECRET_KEY": "tests-only",
                "CHATSITE_DATA_DIR": str(folder),
                "DATABASE_URL": database_url(),
                "REDIS_URL": redis_url,
                "DEMO_MODEL": "1",
                "CELERY_SKIP_CHECKS": "1",
                "LEASE_SECONDS": "4",
                "SWEEP_INTERVAL_SECONDS": "0.5",
                "WORKER_THREADS": "4",
                "TITLES": "0",  # a call of their own, which would count as a second one of the answer
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_BASE_URL": f"{self.upstream.url}/v1",
                **environment,
            },
            folder / "zygote.log",
        )

    @property
    def forks(self) -> list[Fork]:
        return self._zygote.forks

    def __enter__(self) -> World:
        self._zygote.wait_until_ready()
        return self

    def __exit__(self, *_: object) -> None:
        self._zygote.stop()
        self.upstream.stop()

    def start_web(self, *, fuse: Order | None = None) -> Fork:
        """Does not wait until it is ready: ``wait_for_web`` does."""
        port = find_free_port()
        web = self._fork(f"web-{port}", web_command(Address("127.0.0.1", port)), fuse)
        web.port = port
        return web

    def start_worker(
        self, *, fuse: Order | None = None, queues: str = "celery,sweep", beat: bool = True
    ) -> Fork:
        self._counter["worker"] += 1
        name = f"worker-{self._counter['worker']}"
        words = [word for word in worker_command() if beat or word != "--beat"]
        if beat:
            words += ["--schedule", str(self.folder / f"{name}.beat")]
        return self._fork(name, [*words, "--queues", queues, "-n", f"{name}@%h"], fuse)

    def wait_for_web(self, web: Fork) -> Fork:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not web.ended.is_set():
            try:
                with urllib.request.urlopen(f"http://{web.address}/healthz", timeout=5):
                    return web
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"{web.name} did not start:\n{web.read_log()}")

    def logs(self, characters: int = 3000) -> str:
        parts = [f"--- {fork.name}\n{fork.read_log()[-characters:]}" for fork in self.forks]
        return "\n".join([*parts, (self.folder / "zygote.log").read_text()[-characters:]])

    def _fork(self, name: str, command: list[str], fuse: Order | None) -> Fork:
        log = self.folder / f"{name}.log"
        return self._zygote.fork(name, command, log, fuse=asdict(fuse) if fuse is not None else None)


class Upstream:
    """The scripted provider, a process of its own."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.provider_server", "--port", "0", *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().split()[-1]

    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """Every call that arrived, in order, by the question it asked."""
        with urllib.request.urlopen(f"{self.url}/requests", timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        calls: dict[str, list[dict[str, Any]]] = {}
        for call in found:
            calls.setdefault(call["body"]["messages"][-1]["content"], []).append(call)
        return calls

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
