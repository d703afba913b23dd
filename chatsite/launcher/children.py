"""The launcher's child processes: started, watched, restarted with a back-off, ended for good.

Each child leads a process group of its own, so that Ctrl-C in the terminal reaches the launcher
alone and the launcher decides the order of the end. What a child leaves behind in its group
(Celery's beat is a process of its own) is killed with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
STEADY_AFTER_SECONDS = 60.0
GUARD = Path(__file__).with_name("guard.py")


def say(text: str) -> None:
    with contextlib.suppress(OSError):  # a closed terminal must not keep the children from being ended
        print(text, flush=True)  # noqa: T201 - this program speaks to a person


class Guard:
    """The process that ends the children when the launcher cannot any more (see ``guard.py``)."""

    def __init__(self, lock_descriptor: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(lock_descriptor,),
            start_new_session=True,
        )

    def add(self, group: int) -> None:
        self._write(f"+{group}\n")

    def remove(self, group: int) -> None:
        self._write(f"-{group}\n")

    def close(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.wait()

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()


@dataclass
class Child:
    """One program that should run as long as the site does."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    guard: Guard
    grace_seconds: float = 10.0
    process: asyncio.subprocess.Process | None = None
    deaths: int = 0
    stopping: bool = False
    started: float = field(default_factory=time.monotonic)
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Does nothing once the child is being stopped: nothing may start behind the end's back."""
        async with self.starting:
            if self.stopping:
                return
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                env=dict(self.environment),
                stdin=asyncio.subprocess.DEVNULL,
                process_group=0,
            )
            self.guard.add(self.process.pid)
            self.started = time.monotonic()

    async def watch(self) -> None:
        """Restarts the program whenever it dies, a little later each time, until it is stopped."""
        while await self._rest(await self._wait()):
            await self.start()

    async def _rest(self, code: int) -> bool:
        """Waits before the next start; whether there is to be one."""
        if self.stopping:
            return False
        if time.monotonic() - self.started > STEADY_AFTER_SECONDS:
            self.deaths = 0
        delay_seconds = BACK_OFF_SECONDS[min(self.deaths, len(BACK_OFF_SECONDS) - 1)]
        self.deaths += 1
        say(f"The {self.name} ended ({how_it_ended(code)}); starting it again in {delay_seconds:g} s.")
        await asyncio.sleep(delay_seconds)
        return True

    async def stop(self, hurry: asyncio.Event) -> None:
        """SIGTERM, and SIGKILL after the grace, or at once when ``hurry`` is set."""
        self.stopping = True
        async with self.starting:
            process = self.process
        if process is None or process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        ended = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=self.grace_seconds, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            if not hurry.is_set():
                say(f"The {self.name} did not end within {self.grace_seconds:g} s: killing it.")
            self._signal(signal.SIGKILL)
        await ended
        self._sweep()

    async def _wait(self) -> int:
        assert self.process is not None
        code = await self.process.wait()
        self._sweep()
        return code

    def _sweep(self) -> None:
        self._signal(signal.SIGKILL)
        if self.process is not None:
            self.guard.remove(self.process.pid)

    def _signal(self, number: int) -> None:
        """To the whole group for SIGKILL; SIGTERM is for the leader, who ends its own in order."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                os.kill(self.process.pid, number)


def how_it_ended(code: int) -> str:
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
