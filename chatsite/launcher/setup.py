"""Makes the virtual environment and the browser bundle; does nothing where nothing changed.

Run by its path, before any dependency exists, so it uses the standard library alone:
``python chatsite/launcher/start.py [--dev]``. A stamp in the environment holds the hash of the
requirement files and the Python version; the packages are installed again only when it differs.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
RUNTIME = "requirements.txt"
DEVELOPMENT = "requirements-dev.txt"
LINE_INTERVAL_SECONDS = 10.0

NO_REGISTRY = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|Temporary failure in name resolution"
    r"|Connection refused|Network is unreachable|ProxyError|Max retries exceeded|ENOTFOUND|ECONNREFUSED"
    r"|EAI_AGAIN|ETIMEDOUT|ECONNRESET|No matching distribution found"
)
DISK_FULL = re.compile(r"No space left on device|ENOSPC|Disk quota exceeded|EDQUOT")


class SetupError(Exception):
    """The set-up cannot go on; the message says why and what helps."""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this program speaks to a person


def explain(output: str, what: str) -> str:
    """A sentence for a failed installation, from what the installer printed."""
    if DISK_FULL.search(output):
        return f"There is no space left on the disk for {what}. Free about 1 GB and run the command again."
    if NO_REGISTRY.search(output):
        return (
            f"The package registry could not be reached, or lacks a package: {what} cannot be installed.\n"
            "Check the network connection (and proxy settings, PIP_INDEX_URL or the npm registry) "
            "and run the command again."
        )
    tail = "\n".join(output.strip().splitlines()[-30:])
    return f"Installing {what} failed. The last lines were:\n{tail}"


def requirement_files(*, development: bool) -> list[Path]:
    names = [RUNTIME, DEVELOPMENT] if development else [RUNTIME]
    return [ROOT / name for name in names]


def fingerprint(files: Sequence[Path], *, python_version: str) -> str:
    """Changes when a requirement file or the environment's Python changes."""
    digest = hashlib.sha256(python_version.encode())
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def venv_python(venv: Path = VENV) -> Path:
    return venv / "bin" / "python"


def venv_version(venv: Path = VENV) -> str:
    """The version that ``pyvenv.cfg`` records, or "" where there is no usable environment."""
    if not venv_python(venv).exists():
        return ""
    with contextlib.suppress(OSError):
        for line in (venv / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key.strip() in ("version", "version_info"):
                return ".".join(value.strip().split(".")[:3])
    return ""


def is_current(venv: Path, *, development: bool) -> bool:
    """Whether the environment holds what the requirement files ask for."""
    version = venv_version(venv)
    if not version:
        return False
    runtime = fingerprint(requirement_files(development=False), python_version=version)
    full = fingerprint(requirement_files(development=True), python_version=version)
    accepted = {full} if development else {runtime, full}
    with contextlib.suppress(OSError):
        return (venv / "chatsite.stamp").read_text(encoding="utf-8") in accepted
    return False


def make_venv(venv: Path) -> None:
    if venv_version(venv):
        return
    if venv.exists():
        say(f"The environment in {venv} is broken or of a removed Python: making it anew.")
        shutil.rmtree(venv)
    say(f"Making a virtual environment with Python {sys.version.split()[0]} …")
    done = subprocess.run(
        [sys.executable, "-m", "venv", str(venv)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        output = done.stdout + done.stderr
        if "ensurepip" in output:
            name = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
            raise SetupError(f"This Python cannot make virtual environments. Install {name} and try again.")
        raise SetupError(explain(output, "the virtual environment"))


def install(venv: Path, *, development: bool) -> None:
    """pip installs the requirement files and writes the stamp."""
    file = requirement_files(development=development)[-1]
    what = "the packages" + (" for development" if development else "")
    say(f"Installing {what} ({file.name}); the first time takes a minute or two …")
    stamp = venv / "chatsite.stamp"
    stamp.unlink(missing_ok=True)
    command = [str(venv_python(venv)), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    started = time.monotonic()
    code, output = run_with_progress([*command, "-r", str(file)])
    if code:
        raise SetupError(explain(output, what))
    files = requirement_files(development=development)
    stamp.write_text(fingerprint(files, python_version=venv_version(venv)), encoding="utf-8")
    say(f"Installed in {time.monotonic() - started:.0f} s.")


def run_with_progress(command: Sequence[str]) -> tuple[int, str]:
    """Runs an installer; shows what it is at, on one line of a terminal or now and then in a log."""
    terminal = sys.stdout.isatty()
    lines: list[str] = []
    said = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            word = line.strip()[:100]
            if terminal:
                sys.stdout.write(f"\r\033[K  {word[:76]}")
                sys.stdout.flush()
            elif word and time.monotonic() - said > LINE_INTERVAL_SECONDS:
                said = time.monotonic()
                say(f"  {word}")
    if terminal:
        sys.stdout.write("\r\033[K")
        sys.stdout.flush()
    return process.returncode, "".join(lines)


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Two set-ups in one folder wait for each other."""
    import fcntl

    BUILD.mkdir(exist_ok=True)
    with (BUILD / "setup.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another set-up is at work in this folder: waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_bundle(venv: Path) -> None:
    """The browser bundle is built by the environment's Python, which has the Node wheel."""
    script = ROOT / "chatsite" / "launcher" / "bundle.py"
    if subprocess.run([str(venv_python(venv)), str(script)], check=False).returncode:
        raise SetupError("The pages cannot be served without the browser bundle; see above.")


def main(arguments: Sequence[str]) -> int:
    development = "--dev" in arguments
    try:
        with only_one():
            if not is_current(VENV, development=development):
                make_venv(VENV)
                install(VENV, development=development)
            build_bundle(VENV)
    except SetupError as error:
        say(f"\n{error}")
        return 1
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            say(f"\n{explain('ENOSPC', 'the set-up')}")
        else:
            say(f"\nThe set-up failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUTF8", "1")
    sys.exit(main(sys.argv[1:]))
