from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import find_chromium


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the PATH; nothing lies in the home."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


def put(program: Path) -> str:
    program.parent.mkdir(parents=True, exist_ok=True)
    program.touch(mode=0o755)
    return str(program)


def test_it_takes_the_shell_unless_the_whole_browser_is_asked_for(programs: Path) -> None:
    whole = put(programs / "chromium")
    assert find_chromium() == whole
    shell = put(programs / "chromium-headless-shell")
    assert find_chromium() == shell
    assert find_chromium(whole=True) == whole


def test_it_finds_what_playwright_has_installed(programs: Path) -> None:
    cache = programs.parent / ".cache/ms-playwright"
    whole = put(cache / "chromium-1200/chrome-linux64/chrome")
    assert find_chromium() == whole
    shell = put(cache / "chromium_headless_shell-1200/chrome-headless-shell-linux64/chrome-headless-shell")
    assert find_chromium() == shell


def test_the_one_that_is_named_goes_before_all(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(programs / "chromium-headless-shell")
    named = put(programs / "other")
    monkeypatch.setenv("CHROMIUM", named)
    assert find_chromium() == named
    assert find_chromium(whole=True) == named
