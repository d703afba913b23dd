"""The two small servers of the benchmark, started as processes: the scripted upstream and the floor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.bench.load import Target
from tests.bench.processes import Child, fetch_json, free_port, wait_for_http

# As chatsite.launcher.supervisor serves the product.
UVICORN = [
    "-m",
    "uvicorn",
    "--host=127.0.0.1",
    "--loop=uvloop",
    "--ws=websockets-sansio",
    "--no-access-log",
    "--log-level=warning",
]


class Upstream:
    def __init__(self, child: Child) -> None:
        self._child = child
        self.url = child.read_line().decode().strip()

    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = fetch_json(f"{self.url}/bench/requests")
        return found

    def cpu_seconds(self) -> float:
        return self._child.cpu_seconds()


@contextmanager
def upstream() -> Iterator[Upstream]:
    child = Child("upstream", ["-m", "tests.bench.upstream", "--port", "0"], talks=True)
    try:
        yield Upstream(child)
    finally:
        child.stop()


@contextmanager
def floor(upstream_url: str) -> Iterator[Target]:
    port = free_port()
    command = [*UVICORN, f"--port={port}", "tests.bench.floor:application"]
    child = Child("floor", command, {"BENCH_UPSTREAM": upstream_url})

    def doors(count: int) -> Sequence[dict[str, str]]:
        return [{"path": "/"}] * count

    try:
        wait_for_http(f"http://127.0.0.1:{port}/", child)
        yield Target(
            "floor", f"ws://127.0.0.1:{port}", "bench", lambda: {"floor": child.cpu_seconds()}, doors
        )
    finally:
        child.stop()
