"""The programs that judge the suite are programs too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import ci_summary, coverage_gate
from tests.checks import find_secrets

JUNIT = '<testsuites><testsuite tests="{tests}" failures="{failures}" errors="0" skipped="1"/></testsuites>'


def coverage_file(covered: int, lines: int, covered_branches: int = 0, branches: int = 0) -> dict[str, Any]:
    return {
        "summary": {
            "covered_lines": covered,
            "num_statements": lines,
            "covered_branches": covered_branches,
            "num_branches": branches,
        }
    }


def test_the_gate_judges_each_app_by_itself() -> None:
    report = {
        "files": {"llm/usage.py": coverage_file(1000, 1000), "billing/holds.py": coverage_file(89, 100)}
    }
    lines, passed = coverage_gate.verdict(report)
    assert not passed
    assert any("billing" in line and "below 90" in line for line in lines)
    assert any("billing/holds.py: 11 uncovered" in line for line in lines)
    assert any("llm" in line and line.endswith("ok") for line in lines)
    assert any("workspace" in line and "no code yet" in line for line in lines)


def test_the_gate_counts_branches_with_lines() -> None:
    report = {"files": {"llm/usage.py": coverage_file(100, 100, 0, 20)}}
    assert not coverage_gate.verdict(report)[1]


def test_the_gate_passes_at_the_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "coverage.json"
    path.write_text(
        json.dumps({"files": {"llm/usage.py": coverage_file(90, 100), "manage.py": coverage_file(0, 9)}})
    )
    assert coverage_gate.main(str(path)) == 0
    assert "90.0 %  ok" in capsys.readouterr().out


def write_reports(folder: Path, *, browser: int = 1, postgres: int = 1, failures: int = 0) -> None:
    for name in ("junit", "postgres", "newest"):
        (folder / f"{name}.xml").write_text(JUNIT.format(tests=10, failures=failures))
    (folder / "counts.json").write_text(json.dumps({"all": 9, "browser": browser}))
    (folder / "postgres.json").write_text(json.dumps({"database": postgres}))


def test_the_closing_line_sums_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path)
    assert ci_summary.main([str(tmp_path), "61"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].strip("=") == " 27 passed, 3 skipped in 61.00s "


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"browser": 0}, "no browser story ran"),
        ({"postgres": 0}, "no test ran on PostgreSQL"),
        ({"failures": 1}, "3 failed"),
    ],
)
def test_what_was_left_out_or_failed_fails(
    changes: dict[str, int], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_reports(tmp_path, **changes)
    assert ci_summary.main([str(tmp_path), "61"]) == 1
    output = capsys.readouterr().out
    assert words in output
    assert "failed" in output.splitlines()[-1]


def test_a_failed_step_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_reports(tmp_path)
    assert ci_summary.main([str(tmp_path), "61", "make check"]) == 1
    assert "1 failed, 27 passed" in capsys.readouterr().out


def test_nothing_at_all_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ci_summary.main([str(tmp_path), "1"]) == 1
    assert "did not run" in capsys.readouterr().out


def test_it_finds_keys_and_passes_over_words() -> None:
    key = "AIza" + "B" * 35
    assert find_secrets(f"GEMINI_API_KEY={key}") == ["Google API key"]
    assert find_secrets("OPENAI_API_KEY=sk-" + "a1" * 20) == ["OpenAI or Anthropic key"]
    assert find_secrets("a task-with-a-long-name-that-goes-on-and-on, and AIza alone") == []
