"""The whole product, isolated: its own data folder, SQLite, an embedded Valkey, web and worker with beat."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import psutil

from chatsite.launcher.address import Address
from chatsite.launcher.supervisor import web_command, worker_command
from chatsite.valkey import EmbeddedValkey
from tests.bench.load import Target
from tests.bench.processes import (
    Child,
    ProcessFailedError,
    fetch_json,
    free_port,
    tree_cpu_seconds,
    wait_for_http,
)


class Product:
    """The running product. ``keys`` are API keys, one a user; every socket gets a user of its own."""

    def __init__(
        self,
        env: Mapping[str, str],
        web: Child,
        port: int,
        keys: Sequence[str],
        seeded: Mapping[str, Any],
    ) -> None:
        self._env, self.web, self.port, self._keys, self.seeded = env, web, port, keys, seeded
        self._http = f"http://127.0.0.1:{port}"
        self._ws = f"ws://127.0.0.1:{port}"
        self._trees = {"web": psutil.Process(web.pid)}

    def measure_also(self, part: str, pid: int) -> None:
        self._trees[part] = psutil.Process(pid)

    def cpu(self) -> dict[str, float]:
        return {part: tree_cpu_seconds(process) for part, process in self._trees.items()}

    def doors(self, count: int) -> list[dict[str, str]]:
        """A new conversation for each of the first ``count`` users."""
        if count > len(self._keys):
            raise ValueError(f"{count} sockets asked, {len(self._keys)} users made")

        def make(key: str) -> dict[str, str]:
            made = fetch_json(f"{self._http}/api/v1/conversations/", body={}, key=key)
            return {
                "path": f"/ws/conversations/{made['id']}/",
                "rest": f"/api/v1/conversations/{made['id']}/messages/",
                "key": key,
            }

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(make, self._keys[:count]))

    def target(self, model: str) -> Target:
        return Target("product", self._ws, model, self.cpu, self.doors)

    def count(self) -> dict[str, Any]:
        """``{"states": {state: generations}, "entries": ledger entries}``"""
        counted: dict[str, Any] = _command(self._env, ["-m", "tests.bench.seed", "count"])
        return counted

    def checkbooks(self) -> tuple[bool, str]:
        child = Child("checkbooks", ["manage.py", "checkbooks"], self._env)
        try:
            return child.popen.wait(120) == 0, child.errors()
        finally:
            child.stop()


def _command(env: Mapping[str, str], command: Sequence[str]) -> Any:
    """Run to its end; the last line of its output is JSON."""
    child = Child(command[1], command, env, talks=True)
    try:
        assert child.popen.stdout is not None
        out = child.popen.stdout.read()
        if child.popen.wait() != 0:
            raise ProcessFailedError(f"{' '.join(command)} failed:\n{child.errors()}")
        return orjson.loads(out.splitlines()[-1])
    finally:
        child.stop()


@contextmanager
def product(upstream_url: str, users: int, seed: Sequence[str] = (), **extra: str) -> Iterator[Product]:
    """``seed``: a module and its arguments that fill the database further; what it prints is ``seeded``."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatsite-bench-")))
        valkey = None
        redis_url = os.environ.get("REDIS_URL", "")
        if not redis_url:
            valkey = EmbeddedValkey(folder / "valkey")
            valkey.start()
            stack.callback(valkey.stop)
            redis_url = valkey.url
        port = free_port()
        env = {**_environment(folder, redis_url, upstream_url, port), **extra}
        _run(env, ["manage.py", "migrate", "--verbosity=0"])
        keys = _command(env, ["-m", "tests.bench.seed", "fill", str(users)])["keys"]
        seeded = _command(env, ["-m", *seed]) if seed else {}
        # The first word of a command is the interpreter.
        web = Child("web", web_command(Address("127.0.0.1", port))[1:], env)
        stack.callback(web.stop)
        worker = Child("worker", worker_command()[1:], env)
        stack.callback(worker.stop)
        wait_for_http(f"http://127.0.0.1:{port}/healthz", web, timeout_seconds=60)
        running = Product(env, web, port, keys, seeded)
        running.measure_also("worker", worker.pid)
        if valkey is not None and valkey.process is not None:
            running.measure_also("valkey", valkey.process.pid)
        yield running


def _environment(folder: Path, redis_url: str, upstream_url: str, port: int) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "chatsite.settings",
        "TITLES": "0",  # the load is what is asked for
        "SECRET_KEY": "bench-only",
        "CHATSITE_DATA_DIR": str(folder),
        "DATABASE_URL": "",
        "REDIS_URL": redis_url,
        "PORT": str(port),
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": f"{upstream_url}/v1",
        "GEMINI_API_KEY": "bench",
        "GEMINI_BASE_URL": upstream_url,
        "LOG_LEVEL": "WARNING",
    }


def _run(env: Mapping[str, str], command: Sequence[str]) -> None:
    child = Child(command[1], command, env)
    try:
        if child.popen.wait() != 0:
            raise ProcessFailedError(f"{' '.join(command)} failed:\n{child.errors()}")
    finally:
        child.stop()
