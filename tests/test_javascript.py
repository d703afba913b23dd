"""The unit tests of the browser's scripts, run by Node itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chatsite.launcher.bundle import find_node

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "tests" / "js").glob("*.test.*js"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_javascript(path: Path) -> None:
    node = find_node()
    assert node is not None, "Node comes with the requirements"
    done = subprocess.run(
        [node.program, "--test", "--test-reporter=spec", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ℹ tests 0" not in done.stdout, "the file holds no test"
