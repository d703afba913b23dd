"""``python -m tests.checks``: all of ``make check``. Every check runs; the last line sums up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

# What a careful operator would set, so that every warning of `check --deploy` is a real one.
DEPLOYMENT = {
    "DEBUG": "0",
    "PUBLIC_URL": "https://chat.example.org",
    "SECRET_KEY": "only-for-this-check-" + "0123456789abcdefghijklmnopqrstuvwxyz" * 2,
    "CHATSITE_ENV_FILE": os.devnull,
    "DATABASE_URL": "",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}

SECRETS = {
    "Google API key": re.compile(r"AIza[0-9A-Za-z_-]{35}"),
    "OpenAI or Anthropic key": re.compile(r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}"),
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36,}"),
    "private key": re.compile(r"-----BEGIN (?:RSA |EC |OPENSSH |DSA )?PRIVATE KEY-----"),
    "Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
}


def command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> bool:
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **(environment or {})}, check=False)
    return done.returncode == 0


def python(*words: str, **environment: str) -> Callable[[], bool]:
    return lambda: command([sys.executable, *words], environment)


def program(name: str, *words: str) -> Callable[[], bool]:
    return lambda: command([str(BIN / name), *words])


def check_deployment() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**DEPLOYMENT, "CHATSITE_DATA_DIR": folder}
        words = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
        return command(words, environment)


def find_secrets(text: str) -> list[str]:
    """Kinds of secrets that a text holds."""
    return [kind for kind, pattern in SECRETS.items() if pattern.search(text)]


def check_secrets() -> bool:
    """No key may lie in a file that git knows or would add."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        print("not a git checkout: nothing to look through")
        return True
    clean = True
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not name or not path.is_file():
            continue
        for kind in find_secrets(path.read_text(encoding="utf-8", errors="ignore")):
            print(f"{name}: looks like a {kind}")
            clean = False
    return clean


CHECKS: dict[str, Callable[[], bool]] = {
    "style": program("ruff", "check", "."),
    "format": program("ruff", "format", "--check", "."),
    "types": program("mypy"),
    "import layers": program("lint-imports"),
    "migrations": python(
        "manage.py", "makemigrations", "--check", "--dry-run", "--settings", "tests.settings"
    ),
    "deployment settings": check_deployment,
    "secrets": check_secrets,
}


def main(names: Sequence[str]) -> int:
    failed = []
    for name, check in CHECKS.items():
        if names and name not in names:
            continue
        print(f"--- {name}", flush=True)
        started = time.monotonic()
        if not check():
            failed.append(name)
        print(f"    {'FAILED' if name in failed else 'ok'} in {time.monotonic() - started:.1f} s", flush=True)
    count = len(names or CHECKS)
    print(
        f"=== checks: {count - len(failed)} passed, {len(failed)} failed {failed or ''}".rstrip(), flush=True
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
