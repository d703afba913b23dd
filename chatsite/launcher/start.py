"""Finds a Python that is new enough and runs ``setup.py``, which lies beside this file, with it.

Whatever ``python3`` is on a machine reads this file first. So it keeps to words that every Python
since 2.7 knows: no annotations and no f-strings, or an old one would stop at a SyntaxError
instead of the sentence below.
"""

import glob
import os
import runpy
import subprocess
import sys

OLDEST = (3, 11)
NAMES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")
FOLDERS = ("/usr/local/bin", "/opt/homebrew/bin", "~/.pyenv/versions/*/bin", "~/.local/bin")
CHECK = "import sys; sys.exit(sys.version_info < (%d, %d))" % OLDEST


def is_new_enough(version):
    return tuple(version[:2]) >= OLDEST


def too_old(version):
    """The sentence for a Python that is too old when no newer one was found."""
    return (
        "Chatsite needs Python {0}.{1} or newer; this is Python {2}.{3}, and no newer one was found.\n"
        "Install one (for instance `apt install python3.11 python3.11-venv`, `brew install python@3.13`,\n"
        "or from https://www.python.org/downloads/) and run the command again.\n"
        "If it lies in an unusual place, name it: make run PYTHON=/path/to/python3"
    ).format(OLDEST[0], OLDEST[1], version[0], version[1])


def candidates():
    """Paths of Pythons by name, newest tried first: along the PATH, then in the usual folders."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    for pattern in FOLDERS:
        folders.extend(sorted(glob.glob(os.path.expanduser(pattern)), reverse=True))
    for name in NAMES:
        for folder in folders:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                yield path


def find_newer():
    """The first Python that runs and is new enough, or None. A mere file proves nothing: shims lie."""
    for path in candidates():
        try:
            with open(os.devnull, "w") as nowhere:
                if subprocess.call([path, "-c", CHECK], stdout=nowhere, stderr=nowhere) == 0:
                    return path
        except OSError:
            continue
    return None


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    if is_new_enough(sys.version_info):
        runpy.run_path(os.path.join(here, "setup.py"), run_name="__main__")
        return
    newer = find_newer()
    if newer is None:
        sys.exit(too_old(sys.version_info))
    sys.stdout.flush()
    os.execv(newer, [newer, os.path.abspath(__file__)] + sys.argv[1:])


if __name__ == "__main__":
    main()
