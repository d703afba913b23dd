"""Where a Chromium is, for the browser stories."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
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


def find_chromium() -> str | None:
    """The program that ``CHROMIUM`` names, one on the PATH, or one that Playwright installed."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    caches = (Path.home() / ".cache/ms-playwright", Path.home() / "Library/Caches/ms-playwright")
    for cache in caches:
        for program in sorted(cache.glob("chromium-*/chrome-linux*/chrome"), reverse=True):
            return str(program)
    return next((path for path in MAC_APPLICATIONS if Path(path).exists()), None)


if __name__ == "__main__":
    print(find_chromium() or "")
