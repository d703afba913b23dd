"""Forks programs of the product from a process that has loaded already what they are going to load.

Loading is most of what a start costs, and the suite starts a hundred. Each fork leads a session of its own
and runs the launcher's own command (``python -m uvicorn …``) as the main program: a real process, which can
be killed.

A *zygote* is a module that calls ``serve``. It reads one JSON order a line, with at least ``name``,
``command`` and ``log``, and answers, one JSON object a line: ``{"ready": PID}``,
``{"forked": PID, "name": NAME, "log": LOG}`` and, whenever one ended, ``{"ended": PID, "status": STATUS}``.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import json
import os
import queue
import re
import runpy
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0


class Fork:
    """A forked program; ``ended`` is set when it is gone, whoever killed it."""

    def __init__(self, name: str, pid: int, log: Path) -> None:
        self.name, self.pid, self.log = name, pid, log
        self.ended = threading.Event()
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """To the whole session: a worker's beat goes with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, seconds: float) -> None:
        if not self.ended.wait(seconds):
            raise AssertionError(f"{self.name} is still there:\n{self.read_log()}")

    def terminate(self) -> None:
        if not self.ended.is_set():
            os.kill(self.pid, signal.SIGTERM)

    def read_log(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


class Zygote:
    """A running zygote: ``module`` with the ``environment``, whose own words go to ``log``."""

    def __init__(self, module: str, environment: Mapping[str, str], log: Path) -> None:
        self.forks: list[Fork] = []
        self.log = log
        self._births: queue.Queue[Fork] = queue.Queue()
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._stopped = threading.Event()
        with log.open("ab") as words:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                start_new_session=True,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait_until_ready(self) -> None:
        if not self._ready.wait(START_SECONDS):
            raise AssertionError(f"no processes can be forked:\n{self.log.read_text()}")

    def fork(self, name: str, command: list[str], log: Path, **order: Any) -> Fork:
        order |= {"name": name, "command": command, "log": str(log)}
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            return self._births.get(timeout=START_SECONDS)

    def stop(self) -> None:
        """Kills what it has forked and is still there."""
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stopped.set()
        for fork in tuple(self.forks):
            if not fork.ended.is_set():
                fork.kill()
        self._listener.join(10)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        by_pid: dict[int, Fork] = {}
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if "ready" in told:
                self._ready.set()
            elif "forked" in told:
                pid = told["forked"]
                by_pid[pid] = fork = Fork(told["name"], pid, Path(told["log"]))
                self.forks.append(fork)
                if self._stopped.is_set():
                    fork.kill()
                self._births.put(fork)
            elif (ended := by_pid.pop(told["ended"], None)) is not None:
                ended.ended.set()


def say(**values: Any) -> None:
    os.write(1, json.dumps(values).encode() + b"\n")


def reap(*_: Any) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            say(ended=pid, status=status)


def run_command(words: list[str]) -> None:
    """What ``python -W ignore:MESSAGE:CATEGORY -m MODULE …`` does."""
    at = words.index("-m")
    for option, value in pairwise(words[:at]):
        if option == "-W":
            _, message, category = value.split(":")
            warnings.filterwarnings("ignore", re.escape(message), getattr(builtins, category))
    sys.argv = [words[at + 1], *words[at + 2 :]]
    runpy.run_module(words[at + 1], run_name="__main__", alter_sys=True)


def _live(order: dict[str, Any], prepare: Callable[[dict[str, Any]], None]) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, number)
    prepare(order)
    run_command(order["command"])


def serve(prepare: Callable[[dict[str, Any]], None]) -> None:
    """Forks as it is ordered to; ``prepare`` gets the order in the new process, before its program runs."""
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, reap)
    say(ready=os.getpid())
    for line in sys.stdin:
        order = json.loads(line)
        # A child may end before its birth is told.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            code: Any = 1
            try:
                _live(order, prepare)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
            finally:
                sys.stderr.flush()
                os._exit(code or 0)
        say(forked=pid, name=order["name"], log=order["log"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
