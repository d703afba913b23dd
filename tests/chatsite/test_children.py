from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from chatsite.launcher import children, guard
from chatsite.launcher.children import Child, Guard, how_it_ended

STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "open(sys.argv[1], 'w').write('up'); time.sleep(99)"
)
WITH_CHILD = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'])\n"
    "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(99)"
)


@pytest_asyncio.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Guard]:
    with (tmp_path / "lock").open("w") as lock:
        made = Guard(lock.fileno())
        yield made
        made.close()


def make(keeper: Guard, script: str, *words: str, grace_seconds: float = 10.0) -> Child:
    command = [sys.executable, "-c", script, *words]
    return Child("program", command, dict(os.environ), keeper, grace_seconds)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def is_written(path: Path) -> bool:
    return path.exists() and path.read_text() != ""


async def test_a_program_that_ignores_sigterm_is_killed_after_its_grace(
    keeper: Guard, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    child = make(keeper, STUBBORN, str(tmp_path / "up"), grace_seconds=0.2)
    await child.start()
    assert child.process is not None
    await until(lambda: is_written(tmp_path / "up"))
    await child.stop(asyncio.Event())
    assert child.process.returncode == -9
    assert "did not end within 0.2 s" in capsys.readouterr().out


async def test_a_second_ctrl_c_does_not_wait_for_the_grace(keeper: Guard, tmp_path: Path) -> None:
    child = make(keeper, STUBBORN, str(tmp_path / "up"), grace_seconds=1000)
    await child.start()
    await until(lambda: is_written(tmp_path / "up"))
    hurry = asyncio.Event()
    stopping = asyncio.create_task(child.stop(hurry))
    hurry.set()
    async with asyncio.timeout(20):
        await stopping


async def test_what_a_program_started_ends_with_it(keeper: Guard, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = make(keeper, WITH_CHILD, str(note))
    await child.start()
    watching = asyncio.create_task(child.watch())
    await until(lambda: is_written(note))
    grandchild = psutil.Process(int(note.read_text()))
    await child.stop(asyncio.Event())
    await watching
    psutil.wait_procs([grandchild], timeout=10)
    assert not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE


async def test_nothing_starts_once_the_end_has_begun(keeper: Guard) -> None:
    child = make(keeper, "pass")
    await child.stop(asyncio.Event())
    await child.start()
    assert child.process is None


async def test_a_program_that_keeps_dying_is_started_ever_later(
    keeper: Guard, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(children, "BACK_OFF_SECONDS", (0.01, 0.02, 0.03))
    child = make(keeper, "raise SystemExit(3)")
    await child.start()
    watching = asyncio.create_task(child.watch())
    await until(lambda: child.deaths >= 4)
    await child.stop(asyncio.Event())
    watching.cancel()
    output = capsys.readouterr().out
    assert "The program ended (exit code 3); starting it again in 0.01 s." in output
    assert output.count("again in 0.03 s.") >= 2


@pytest.mark.parametrize(
    ("code", "words"), [(1, "exit code 1"), (-9, "killed by SIGKILL"), (-999, "exit code -999")]
)
def test_it_says_how_a_program_ended(code: int, words: str) -> None:
    assert how_it_ended(code) == words


async def test_the_guard_ends_stubborn_groups(
    monkeypatch: pytest.MonkeyPatch, keeper: Guard, tmp_path: Path
) -> None:
    monkeypatch.setattr(guard, "GRACE_SECONDS", 0.3)
    child = make(keeper, STUBBORN, str(tmp_path / "up"))
    await child.start()
    assert child.process is not None
    await until(lambda: is_written(tmp_path / "up"))
    await asyncio.to_thread(guard.end, {child.process.pid, 2**22 + 1})
    assert await child.process.wait() == -9
