from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from chatsite.data_folder import (
    DataFolderBusyError,
    FolderLock,
    ensure_secret_key,
    read_private,
    write_private,
)

HOLD = (
    "import sys; from pathlib import Path; from chatsite.data_folder import FolderLock\n"
    "lock = FolderLock(Path(sys.argv[1])); lock.take(); lock.describe('http://127.0.0.1:1/')\n"
    "print('held', flush=True); sys.stdin.read()"
)


def hold(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_it_makes_the_secret_key_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    key = ensure_secret_key(tmp_path)
    assert len(key) >= 50
    assert ensure_secret_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600


def test_a_missing_file_reads_as_nothing(tmp_path: Path) -> None:
    assert read_private(tmp_path / "absent") == ""


def test_it_replaces_a_file_and_leaves_no_other_behind(tmp_path: Path) -> None:
    write_private(tmp_path / "word", "one\n")
    write_private(tmp_path / "word", "two\n")
    assert read_private(tmp_path / "word") == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["word"]


def test_a_folder_in_use_is_refused_with_process_and_address(tmp_path: Path) -> None:
    other = hold(tmp_path)
    with pytest.raises(DataFolderBusyError, match=rf"process {other.pid}, http://127\.0\.0\.1:1/"):
        FolderLock(tmp_path).take()
    other.communicate("")
    FolderLock(tmp_path).take()


def test_remains_of_a_killed_launcher_are_waited_for_and_then_told(tmp_path: Path) -> None:
    # A child that inherited the second lock, as the guard does, while the launcher itself is gone.
    script = (
        "import os, subprocess, sys; from pathlib import Path; from chatsite.data_folder import FolderLock\n"
        "lock = FolderLock(Path(sys.argv[1])); lock.take()\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'],"
        " pass_fds=(lock.fileno(),), stdin=int(sys.argv[2]))\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    import os

    reader, writer = os.pipe()
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(reader)],
        pass_fds=(reader,),
        stdout=subprocess.DEVNULL,
        check=False,
    )
    os.close(reader)
    with pytest.raises(DataFolderBusyError, match="Processes of an earlier start"):
        FolderLock(tmp_path).take(wait_seconds=0.2)
    os.close(writer)
    FolderLock(tmp_path).take(wait_seconds=10)
