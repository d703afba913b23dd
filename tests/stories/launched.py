"""A site started as a person starts it, for the stories: real processes in a folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from chatsite.data_folder import LOCK_FILE

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
LAUNCHER = (sys.executable, "-m", "chatsite.launcher")
MAKE_RUN = ("make", "run", f"PYTHON={sys.executable}")


class LaunchedSite:
    """One run of the launcher on ``folder``; ``lines`` grows with what it prints.

    ``measured``: it counts for the coverage, which makes each start a third dearer.
    """

    def __init__(
        self, folder: Path, *, command: Sequence[str] = LAUNCHER, measured: bool = True, **environment: str
    ) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.printed = threading.Condition()
        # The suite's own Redis and settings are not for a site that is started for real.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("REDIS_URL", "DATABASE_URL", "SECRET_KEY", "DJANGO_SETTINGS_MODULE", "MAKEFLAGS")
            and (measured or not name.startswith("COVERAGE_"))
        }
        settings = {"CHATSITE_DATA_DIR": str(folder), "PORT": "0", "CHATSITE_ENV_FILE": os.devnull}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, **settings, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.printed:
                self.lines.append(line.rstrip("\n"))
                self.printed.notify_all()
        with self.printed:
            self.lines.append("(end of output)")
            self.printed.notify_all()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, *, seconds: float = START_SECONDS) -> re.Match[str]:
        """Waits until the output has the pattern; fails with the whole output otherwise."""
        deadline = time.monotonic() + seconds
        with self.printed:
            while True:
                found = re.search(pattern, self.output)
                if found:
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or "(end of output)" in self.lines:
                    raise AssertionError(f"{pattern!r} was not printed. The output was:\n{self.output}")
                self.printed.wait(left)

    def wait_until_ready(self) -> str:
        """The address, without the slash at its end."""
        return self.wait_for(r"Chatsite is running: (\S+)/\n(?:.*\n)*Ctrl-C")[1]

    @property
    def launcher(self) -> psutil.Process:
        """The launcher's own process, also when make started it."""
        words = json.loads((self.folder / LOCK_FILE).read_text(encoding="utf-8"))
        return psutil.Process(words["pid"])

    def processes(self) -> list[psutil.Process]:
        """Every living process of this site, found by its data folder, whoever its parent is."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                ours = process.environ().get("CHATSITE_DATA_DIR") == str(self.folder)
                # Valkey writes its title over its environment, but works in its folder.
                if ours or process.cwd() == str(self.folder / "valkey"):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def commands(self) -> dict[psutil.Process, str]:
        """Every living process of this site with its command line."""
        found = {}
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while we looked
                found[process] = " ".join(process.cmdline())
        return found

    def find(self, word: str, *, other_than: psutil.Process | None = None) -> psutil.Process:
        """One with the word in its command line, and no child of one: a worker's beat has its words."""
        found = [process for process, command in self.commands().items() if word in command]
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                if process != other_than and process.parent() not in found:
                    return process
        raise AssertionError(f"no process with {word!r}:\n{self.output}")

    def wait_until_gone(self, *, seconds: float = 30.0) -> list[psutil.Process]:
        """Waits for the end of all processes; returns those that are still there."""
        _, alive = psutil.wait_procs(self.processes(), timeout=seconds)
        return self.processes() if alive else []

    def stop(self) -> int:
        """Ctrl-C, and the exit code; a site that does not obey is killed."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(60)
        finally:
            for process in self.processes():
                process.kill()
