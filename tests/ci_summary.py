"""``python -m tests.ci_summary REPORTS SECONDS FAILED-STEP …``: the closing line of ``.ci/run``.

Fails when a step failed, and when the browser or the PostgreSQL stories ran no test at all: a suite
that skips them silently would look green.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

SUITES = {"junit": "suite", "postgres": "on PostgreSQL", "newest": "on the newest Django"}


def read_junit(path: Path) -> Counter[str]:
    """How many tests passed, failed and were skipped; empty when the suite did not run."""
    total: Counter[str] = Counter()
    if not path.exists():
        return total
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        number = {key: int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")}
        bad = number["failures"] + number["errors"]
        total["failed"] += bad
        total["skipped"] += number["skipped"]
        total["passed"] += number["tests"] - bad - number["skipped"]
    return total


def read_counts(path: Path) -> dict[str, int]:
    if not path.exists():
        return {}
    counts: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    return counts


def missing_stories(reports: Path) -> list[str]:
    missing = []
    if not read_counts(reports / "counts.json").get("browser"):
        missing.append("no browser story ran")
    if not read_counts(reports / "postgres.json").get("database"):
        missing.append("no test ran on PostgreSQL")
    return missing


def main(arguments: Sequence[str]) -> int:
    reports, seconds, failed_steps = Path(arguments[0]), float(arguments[1]), list(arguments[2:])
    total: Counter[str] = Counter()
    print()
    for name, title in SUITES.items():
        tally = read_junit(reports / f"{name}.xml")
        total += tally
        words = ", ".join(f"{tally[key]} {key}" for key in ("passed", "failed", "skipped") if tally[key])
        print(f"{title + ':':<24} {words or 'did not run'}")
    in_firefox = read_counts(reports / "counts.json").get("in_firefox", 0)
    print(f"{'stories in Firefox:':<24} {f'{in_firefox} passed' if in_firefox else 'none ran'}")
    problems = [f"step failed: {step}" for step in failed_steps] + missing_stories(reports)
    for problem in problems:
        print(f"FAILED {problem}")
    # Problems that are no failed tests (a check, a missing story) must show in the closing line too.
    failed = total["failed"] or len(problems)
    closing = [f"{failed} failed"] if problems or failed else []
    closing += [f"{total[key]} {key}" for key in ("passed", "skipped") if total[key]]
    print(f" {', '.join(closing) or 'nothing ran'} in {seconds:.2f}s ".center(80, "="))
    return 1 if problems or failed or not total["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
