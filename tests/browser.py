"""What the browser stories need: a Chromium, and pages that can be served."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Chromium's engine without the windows of a browser around it: the same pages for less than half of the work.
SHELL_NAMES = ("chromium-headless-shell", "chrome-headless-shell")
CACHED = "chromium-*/chrome-linux*/chrome"
CACHED_SHELL = "chromium_headless_shell-*/chrome-*linux*/*headless*shell"
MAC_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
# Quiet: no calls home, and no sandbox where the tests run as root, which Chromium refuses otherwise.
ARGUMENTS = [
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
]

FIREFOX_NAMES = ("firefox-esr", "firefox")
MAC_FIREFOX = "/Applications/Firefox.app/Contents/MacOS/firefox"
# Somebody who prefers dark pages: it cannot be told so for one page.
FIREFOX_PREFERENCES: dict[str, str | float | bool] = {"layout.css.prefers-color-scheme.content-override": 0}


def find_chromium(*, whole: bool = False) -> str | None:
    """The program that ``CHROMIUM`` names, one on the PATH, or one that Playwright installed.

    A headless shell goes before a browser, unless it is to be the ``whole`` browser, as people have it.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    found = None if whole else _find(SHELL_NAMES, CACHED_SHELL)
    found = found or _find(NAMES, CACHED)
    return found or next((path for path in MAC_APPLICATIONS if Path(path).exists()), None)


def _find(names: Sequence[str], cached: str) -> str | None:
    for name in names:
        found = shutil.which(name)
        if found:
            return found
    caches = (Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright")
    return next((str(path) for cache in caches for path in sorted(cache.glob(cached), reverse=True)), None)


def find_firefox() -> str | None:
    """The stock program that ``FIREFOX`` names, or one on the PATH; not the one that Playwright changes."""
    named = os.environ.get("FIREFOX")
    if named:
        return named if Path(named).exists() else None
    found = next(filter(None, map(shutil.which, FIREFOX_NAMES)), None)
    return found or (MAC_FIREFOX if Path(MAC_FIREFOX).exists() else None)


def build_pages() -> None:
    """Build the bundle and collect the static files, once for all processes of a run of the suite."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    with (folder / "bundle.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if run and lock.read() == run:
            return
        for command in (
            [sys.executable, "chatsite/launcher/bundle.py"],
            [sys.executable, "manage.py", "collectstatic", "--noinput", "-v0"],
        ):
            environment = {"SECRET_KEY": "tests-only", "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
        lock.truncate(0)
        lock.write(run)


if __name__ == "__main__":
    print((find_firefox() if "firefox" in sys.argv else find_chromium()) or "")
