"""The data folder: the secret key, the address of the embedded Valkey, the launcher's lock.

Small private files (mode 0600). The settings read them where the environment says nothing, so that
``manage.py`` commands work beside a running ``make run`` without further words.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

SECRET_KEY_FILE = "secret_key"  # noqa: S105 - the name of a file
REDIS_URL_FILE = "redis_url"
LOCK_FILE = "site.lock"
LAUNCHER_FILE = "launcher.lock"


class DataFolderBusyError(Exception):
    """Another launcher uses the folder. The message is for a person."""


def read_private(path: Path) -> str:
    """The file's text without blanks at the ends, or "" where there is none."""
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8").strip()
    return ""


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step; only its owner can read it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def ensure_secret_key(folder: Path) -> str:
    """The folder's secret key; made at the first start."""
    path = folder / SECRET_KEY_FILE
    key = read_private(path)
    if not key:
        key = secrets.token_urlsafe(48)
        write_private(path, key)
    return key


@dataclass(frozen=True, slots=True)
class Holder:
    """The launcher that holds a lock."""

    pid: int
    address: str


class FolderLock:
    """One launcher per data folder, and none while processes of a killed one are still ending.

    Two locks: the launcher's own, which goes with it, and one that its guard inherits, which goes
    with the last of its processes.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_FILE
        self.own = (folder / LAUNCHER_FILE).open("a+", encoding="utf-8")
        self.inherited = self.path.open("a+", encoding="utf-8")

    def take(self, *, wait_seconds: float = 15.0) -> None:
        """Raises DataFolderBusyError with the running launcher's process id and address."""
        import fcntl  # not on every system; the settings import this module everywhere

        try:
            fcntl.flock(self.own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self.read_holder()
            raise DataFolderBusyError(
                f"Chatsite already runs with the data folder {self.path.parent} "
                f"(process {holder.pid}, {holder.address or 'starting'}).\n"
                "Stop it first, or use another folder: CHATSITE_DATA_DIR=/path PORT=8001 make run"
            ) from None
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(self.inherited, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise DataFolderBusyError(
                        f"Processes of an earlier start still use the data folder {self.path.parent}. "
                        "Try again in a moment."
                    ) from None
                time.sleep(0.1)
        self.describe("")

    def describe(self, address: str) -> None:
        """Writes who holds the lock, for the message of a second launcher."""
        self.inherited.seek(0)
        self.inherited.truncate()
        json.dump({"pid": os.getpid(), "address": address}, self.inherited)
        self.inherited.flush()

    def read_holder(self) -> Holder:
        """Who described the lock last; process 0 where it cannot be read."""
        try:
            words = json.loads(self.path.read_text(encoding="utf-8"))
            return Holder(pid=int(words["pid"]), address=str(words["address"]))
        except (OSError, ValueError, KeyError):
            return Holder(pid=0, address="")

    def fileno(self) -> int:
        """Of the lock that a guard is to inherit."""
        return self.inherited.fileno()
