"""Ends the launcher's children when the launcher itself is gone, even by SIGKILL.

A process of its own, of a few megabytes, started by its path. The launcher writes ``+PGID`` and
``-PGID`` lines into its standard input; at the end of that pipe it ends every process group that
is left: SIGTERM, and SIGKILL after ``GRACE_SECONDS``. It inherits the lock of the data folder and so
keeps a new launcher waiting until the old children are gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GRACE_SECONDS = 5.0


def send(groups: set[int], number: int) -> set[int]:
    """Signals the groups; returns those that still have a member."""
    left = set()
    for group in groups:
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        left.add(group)
    return left


def end(groups: set[int]) -> None:
    left = send(groups, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = send(left, 0)
    send(left, signal.SIGKILL)


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        word = line.strip()
        if word.startswith("+"):
            groups.add(int(word[1:]))
        elif word.startswith("-"):
            groups.discard(int(word[1:]))
    end(groups)


if __name__ == "__main__":
    main()
