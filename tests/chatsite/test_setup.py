from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chatsite.launcher import setup, start

OLD_PYTHONS = [
    path
    for pattern in ("2.7*", "3.6*", "3.8*", "3.10*")
    for path in Path.home().glob(f".pyenv/versions/{pattern}/bin/python")
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with requirement files, in the place of the real one."""
    (tmp_path / "requirements.txt").write_text("one==1\n")
    (tmp_path / "requirements-dev.txt").write_text("-r requirements.txt\ntwo==2\n")
    monkeypatch.setattr(setup, "ROOT", tmp_path)
    monkeypatch.setattr(setup, "BUILD", tmp_path / "build")
    monkeypatch.setattr(setup, "VENV", tmp_path / ".venv")
    return tmp_path


def make_fake_venv(project: Path, version: str = "3.11.7") -> Path:
    venv = project / ".venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
    return venv


def stamp(venv: Path, *, development: bool) -> None:
    files = setup.requirement_files(development=development)
    text = setup.fingerprint(files, python_version=setup.venv_version(venv))
    (venv / "chatsite.stamp").write_text(text)


@pytest.mark.parametrize(
    ("version", "enough"), [((2, 7), False), ((3, 10), False), ((3, 11), True), ((3, 14), True)]
)
def test_it_knows_which_python_is_new_enough(version: tuple[int, int], enough: bool) -> None:
    assert start.is_new_enough(version) is enough


def test_it_names_the_old_python_and_what_to_do() -> None:
    sentence = start.too_old((3, 9, 2))
    assert "needs Python 3.11 or newer; this is Python 3.9" in sentence
    assert "apt install" in sentence
    assert "make run PYTHON=" in sentence


@pytest.mark.skipif(not OLD_PYTHONS, reason="no old Python here")
@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.parts[-3])
def test_an_old_python_reads_the_start_file_and_says_the_sentence(python: Path, tmp_path: Path) -> None:
    # Alone on the PATH and without a home, so that no newer one is found.
    copy = tmp_path / "start.py"
    text = Path(start.__file__).read_text(encoding="utf-8")
    copy.write_text(
        text.replace('FOLDERS = ("/usr/local/bin", "/opt/homebrew/bin", ', "FOLDERS = ("), encoding="utf-8"
    )
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [str(python), str(copy)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Chatsite needs Python 3.11 or newer; this is Python" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_finds_a_newer_python_but_believes_no_shim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lying").mkdir()
    (tmp_path / "true").mkdir()
    shim = tmp_path / "lying" / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    real = tmp_path / "true" / "python3.11"
    real.symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'lying'}:{tmp_path / 'true'}")
    monkeypatch.setattr(start, "FOLDERS", ())
    assert start.find_newer() == str(real)


def test_it_installs_only_what_changed(project: Path) -> None:
    venv = make_fake_venv(project)
    assert not setup.is_current(venv, development=False)
    stamp(venv, development=False)
    assert setup.is_current(venv, development=False)
    assert not setup.is_current(venv, development=True)
    stamp(venv, development=True)
    assert setup.is_current(venv, development=False)
    assert setup.is_current(venv, development=True)

    (project / "requirements.txt").write_text("one==2\n")
    assert not setup.is_current(venv, development=False)


def test_another_python_is_a_reason_to_install_again(project: Path) -> None:
    venv = make_fake_venv(project)
    stamp(venv, development=False)
    (venv / "pyvenv.cfg").write_text("version = 3.12.1\n")
    assert not setup.is_current(venv, development=False)


def test_it_makes_a_broken_environment_anew(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    venv = make_fake_venv(project)
    (venv / "bin" / "python").unlink()
    (venv / "bin" / "python").symlink_to("/nonexistent/python")
    setup.make_venv(venv)
    assert setup.venv_version(venv).startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert "broken or of a removed Python" in capsys.readouterr().out


def test_an_unreachable_registry_is_a_plain_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "requirements.txt").write_text("no-such-package-of-chatsite==1\n")
    for name, value in {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    assert setup.main([]) == 1
    output = capsys.readouterr().out
    assert "The package registry could not be reached" in output
    assert "Check the network connection" in output
    assert "Traceback" not in output
    assert not (project / ".venv" / "chatsite.stamp").exists()


def test_a_full_disk_is_a_plain_sentence() -> None:
    sentence = setup.explain("ERROR: [Errno 28] No space left on device", "the packages")
    assert "no space left on the disk for the packages" in sentence


def test_a_full_disk_during_the_setup_is_a_plain_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(venv: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(setup, "make_venv", full)
    assert setup.main([]) == 1
    assert "no space left on the disk" in capsys.readouterr().out


def test_any_other_failure_shows_the_last_lines() -> None:
    assert "error: subprocess-exited-with-error" in setup.explain(
        "a\nerror: subprocess-exited-with-error\n", "the packages"
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_says_what_is_missing_without_any_python() -> None:
    root = Path(setup.__file__).resolve().parents[2]
    done = subprocess.run(["make", "setup", "PYTHON="], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer, and no python3 was found" in done.stdout
