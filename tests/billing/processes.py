"""Other processes on the test database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    """The test database, as other processes reach it."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    who = found["USER"] + (f":{quote(found['PASSWORD'])}" if found["PASSWORD"] else "")
    host = found["HOST"] or found["OPTIONS"].get("host", "")
    if not host or host.startswith("/"):  # a Unix socket
        return f"postgres://{who}@/{found['NAME']}?host={quote(str(host))}"
    return f"postgres://{who}@{host}:{found['PORT'] or 5432}/{found['NAME']}"


def start(module: str, argument: str) -> subprocess.Popen[str]:
    """Run ``main`` of a module with one argument, Django set up, on the test database.

    What they fork ends without telling what it covered, so none of them records it.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment = {**inherited, "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup(); from {module} import main; main()", argument],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
