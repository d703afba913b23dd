"""Lighthouse, put into a folder of its own when it is first asked for; no part of the project."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from chatsite.launcher.bundle import find_node
from tests.browser import ARGUMENTS, find_chromium

VERSION = "13.5.0"


def lighthouse(address: str, session: str, folder: Path) -> dict[str, float]:
    """Scores of 0 to 100 by category, for a phone on a slow line, signed in by the session's cookie."""
    node, program = find_node(), find_chromium(whole=True)
    assert node is not None
    assert program is not None
    script = folder / "node_modules" / "lighthouse" / "cli" / "index.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = [
            *node.npm,
            "install",
            "--prefix",
            str(folder),
            "--no-audit",
            "--no-fund",
            f"lighthouse@{VERSION}",
        ]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    report = folder / "report.json"
    command = [
        node.program,
        str(script),
        address,
        "--quiet",
        "--output=json",
        f"--output-path={report}",
        "--only-categories=performance,accessibility",
        f"--chrome-flags={' '.join(['--headless=new', *ARGUMENTS])}",
        f"--extra-headers={json.dumps({'Cookie': f'sessionid={session}'})}",
    ]
    subprocess.run(command, check=True, env={**os.environ, "CHROME_PATH": program}, timeout=300)
    found = json.loads(report.read_text(encoding="utf-8"))
    return {name: round(100 * category["score"]) for name, category in found["categories"].items()}
