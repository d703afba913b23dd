"""Our ES modules, tested by Node's own runner: the same modules that the bundle is made of."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from chatsite.launcher.bundle import find_node

ROOT = Path(__file__).resolve().parents[2]


def test_it_passes_the_tests_of_the_scripts() -> None:
    node = find_node()
    if node is None or not (ROOT / "node_modules" / "markdown-it").is_dir():
        pytest.skip("the browser's libraries are not installed")
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "js").glob("*.test.js"))
    done = subprocess.run(
        [node.program, "--test", *files], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout[-6000:]
    passed = re.search(r"pass (\d+)", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 30
