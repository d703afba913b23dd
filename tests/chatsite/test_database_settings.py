"""What DATABASE_URL makes of the connections: a server that is gone without a word is given up soon."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ASK = (
    "import json; from chatsite.settings import DATABASES; print(json.dumps(DATABASES['default']['OPTIONS']))"
)


def options_of(url: str) -> dict[str, object]:
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "SECRET_KEY": "tests-only",
        "CHATSITE_ENV_FILE": os.devnull,
    }
    answer = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True
    )
    options: dict[str, object] = json.loads(answer.stdout)
    return options


def test_postgresql_is_asked_for_signs_of_life() -> None:
    options = options_of("postgres://chatsite@db.example.org/chatsite")
    assert (options["connect_timeout"], options["keepalives_idle"]) == (10, 10)
    assert options["tcp_user_timeout"] == 25_000


def test_what_the_address_says_holds() -> None:
    options = options_of("postgres://chatsite@db.example.org/chatsite?connect_timeout=3&sslmode=require")
    assert (str(options["connect_timeout"]), options["sslmode"]) == ("3", "require")


@pytest.mark.parametrize("url", ["", "sqlite:////tmp/nowhere.sqlite3"])
def test_sqlite_keeps_its_own(url: str) -> None:
    assert "connect_timeout" not in options_of(url)
