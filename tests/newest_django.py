"""``python -m tests.newest_django PYTEST-ARGUMENTS``: the fast tests on the newest Django.

Django 5.2 is pinned because newer ones need Python 3.12. Where such a Python is found, an
environment of its own in ``build/`` shows that the code is ready for the next long-term release.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence

from chatsite.launcher.setup import ROOT, run_with_progress, venv_python
from chatsite.launcher.start import candidates

VENV = ROOT / "build" / "venv-newest"
OLDEST = (3, 12)
# Only for checks that this run does not do; the stubs also pin an older Django. What a test module imports
# stays, though its tests are left out: all modules are read before any is chosen.
LEFT_OUT = re.compile(r"(mypy|django-stubs|djangorestframework-stubs|types-|ruff|import-linter)")
FAST = "not story and not browser and not long and not live"


def find_python() -> str | None:
    """The first Python that is new enough and can make environments; each is asked, not believed."""
    question = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {OLDEST})"
    for path in candidates():
        done = subprocess.run([path, "-c", question], capture_output=True, check=False)
        if done.returncode == 0:
            return path
    return None


def requirements() -> str:
    """All requirements with Django's pin lifted."""
    lines = []
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith(("#", "-r")) and not LEFT_OUT.match(line):
                lines.append("django" if line.lower().startswith("django==") else line)
    return "\n".join(lines) + "\n"


def make_environment(python: str) -> bool:
    """Makes the environment where it is missing or out of date."""
    wanted = requirements()
    stamp = VENV / "chatsite.stamp"
    mark = hashlib.sha256(f"{python}\n{wanted}".encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == mark and venv_python(VENV).exists():
        return True
    print(f"Making an environment with the newest Django ({python}) …", flush=True)
    VENV.parent.mkdir(exist_ok=True)
    if subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=False).returncode:
        return False
    file = VENV / "requirements.txt"
    file.write_text(wanted, encoding="utf-8")
    command = [str(venv_python(VENV)), "-m", "pip", "install", "--no-input", "-r", str(file)]
    code, output = run_with_progress(command)
    if code:
        print("\n".join(output.splitlines()[-30:]))
        return False
    stamp.write_text(mark, encoding="utf-8")
    return True


def main(arguments: Sequence[str]) -> int:
    python = find_python()
    if python is None:
        print("No Python 3.12 or newer was found: the tests on the newest Django were not run.")
        return 0
    if not make_environment(python):
        return 1
    environment_python = str(venv_python(VENV))
    version = "import django, sys; print('Django', django.__version__, 'on Python', sys.version.split()[0])"
    subprocess.run([environment_python, "-c", version], check=True)
    command = [
        environment_python,
        "-m",
        "pytest",
        "-n",
        "auto",
        "--dist",
        "worksteal",
        "-m",
        FAST,
        "--ignore",
        "tests/stories",
    ]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *arguments], env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
