"""docs/pages.md says where each behaviour of the pages is shown: the names are real."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_every_proof_that_is_named_exists() -> None:
    named = set(re.findall(r"`([\w.]+)`", (ROOT / "docs" / "pages.md").read_text(encoding="utf-8")))
    stories = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests/stories/browser").glob("test_*.py")
    )
    known = set(re.findall(r"^async def (test_\w+)\(", stories, re.MULTILINE))
    known |= {path.name for path in (ROOT / "tests/js").glob("*.test.js")}
    known |= {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(named) > 50
    assert named <= known, named - known


def test_the_stories_in_firefox_are_those_that_are_listed() -> None:
    listed = (ROOT / "docs" / "pages.md").read_text(encoding="utf-8").partition("## In Firefox")[2]
    stories = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests/stories/browser").glob("test_*.py")
    )
    marked = re.findall(r"^@in_both\nasync def (test_\w+)\(", stories, re.MULTILINE)
    assert len(marked) == stories.count("@in_both")
    assert set(re.findall(r"`(test_\w+)`", listed)) == set(marked)
