"""Processes of the benchmark: started, read, measured and ended; each in a group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import orjson
import psutil

ROOT = Path(__file__).resolve().parent.parent.parent


class ProcessFailedError(RuntimeError):
    """A process ended, or did not come up in time; the message carries the end of what it wrote."""


class Child:
    """A Python process started from the project's root; its standard error is kept for its obituary.

    One that ``talks`` is spoken to over its standard streams; any other's output is kept with its errors.
    """

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None, *, talks: bool = False
    ) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self.popen: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
            stdout=subprocess.PIPE if talks else self._errors,
            stderr=self._errors,
            start_new_session=True,
        )
        self._process = psutil.Process(self.popen.pid)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def read_line(self) -> bytes:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            self.popen.wait(5)
            raise ProcessFailedError(f"{self.name} ended with {self.popen.returncode}:\n{self.errors()}")
        return line

    def hear(self) -> Any:
        return orjson.loads(self.read_line())

    def say(self, value: Any) -> None:
        assert self.popen.stdin is not None
        self.popen.stdin.write(orjson.dumps(value) + b"\n")
        self.popen.stdin.flush()

    def errors(self, characters: int = 4000) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-characters:]

    def cpu_seconds(self) -> float:
        """User and system time of the process and all below it, those already ended included."""
        return tree_cpu_seconds(self._process)

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """End the process politely, then its whole group."""
        if self.popen.poll() is None:
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(grace_seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(5)
        for pipe in (self.popen.stdin, self.popen.stdout):
            _close(pipe)
        self._errors.close()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()


def tree_cpu_seconds(process: psutil.Process) -> float:
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def wait_for_http(url: str, child: Child, *, timeout_seconds: float = 30.0) -> None:
    """Until ``url`` answers with any status."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        if child.popen.poll() is not None:
            raise ProcessFailedError(f"{child.name} ended with {child.popen.returncode}:\n{child.errors()}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise ProcessFailedError(f"{child.name} did not answer in {timeout_seconds:.0f} s:\n{child.errors()}")


def fetch_json(url: str, *, body: Any = None, key: str = "") -> Any:
    """GET, or POST where there is a body."""
    request = urllib.request.Request(url, data=None if body is None else orjson.dumps(body))
    request.add_header("content-type", "application/json")
    if key:
        request.add_header("authorization", f"Bearer {key}")
    with urllib.request.urlopen(request, timeout=30) as response:
        return orjson.loads(response.read())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
