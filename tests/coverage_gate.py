"""``python -m tests.coverage_gate coverage.json``: each app must be covered well enough by itself.

Lines and branches count together, as coverage.py reports them; a total over all apps could hide a
bare one. Exit code 1 when an app is below the limit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

APPS = ("chatsite", "monitoring", "conversations", "billing", "llm", "workspace")
LIMIT_PERCENT = 90.0
WORST_FILES = 5


@dataclass(slots=True)
class Tally:
    """Sums over the files of one app: covered and existing lines and branches."""

    covered: int = 0
    existing: int = 0

    def add(self, summary: Mapping[str, int]) -> None:
        self.covered += summary["covered_lines"] + summary.get("covered_branches", 0)
        self.existing += summary["num_statements"] + summary.get("num_branches", 0)

    @property
    def percent(self) -> float:
        return 100.0 * self.covered / self.existing if self.existing else 100.0


def tally(report: Mapping[str, Any]) -> tuple[dict[str, Tally], dict[str, Tally]]:
    """Tallies by app and by file, from coverage's JSON report."""
    apps = {app: Tally() for app in APPS}
    files: dict[str, Tally] = {}
    for name, content in report["files"].items():
        app = Path(name).parts[0]
        if app in apps:
            apps[app].add(content["summary"])
            files.setdefault(name, Tally()).add(content["summary"])
    return apps, files


def verdict(report: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Lines to print, and whether every app passes. An app without code passes."""
    apps, files = tally(report)
    lines, passed = ["Coverage of lines and branches:"], True
    for app, sums in apps.items():
        if not sums.existing:
            lines.append(f"  {app:<14} no code yet")
            continue
        good = sums.percent >= LIMIT_PERCENT
        passed = passed and good
        lines.append(f"  {app:<14} {sums.percent:5.1f} %  {'ok' if good else f'below {LIMIT_PERCENT:g} %'}")
        if not good:
            own = [(file, value) for file, value in files.items() if Path(file).parts[0] == app]
            worst = sorted(own, key=lambda pair: pair[1].covered - pair[1].existing)[:WORST_FILES]
            lines += [f"      {file}: {value.existing - value.covered} uncovered" for file, value in worst]
    return lines, passed


def main(path: str) -> int:
    lines, passed = verdict(json.loads(Path(path).read_text(encoding="utf-8")))
    print("\n".join(lines))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
