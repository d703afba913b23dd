"""A worker and its beat end together: neither goes on alone when the other is killed."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from tests.stories.site import START_SECONDS, Program, Site

pytestmark = [pytest.mark.story, pytest.mark.django_db(transaction=True)]


def test_its_beat_ends_with_it(site: Site) -> None:
    worker = site.start_worker()
    beat = child_of(worker)
    os.kill(worker.pid, signal.SIGKILL)  # the process alone, not its group
    worker.wait(10)
    assert psutil.wait_procs([beat], timeout=10)[1] == []


def test_it_ends_with_its_beat(site: Site) -> None:
    """Alone it would do nothing that is due: who watches it starts both again."""
    worker = site.start_worker()
    child_of(worker).kill()
    worker.wait(START_SECONDS)


def child_of(worker: Program) -> psutil.Process:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if found := psutil.Process(worker.pid).children():
            return found[0]
        time.sleep(0.05)  # nobody announces that beat has started
    raise AssertionError(f"the worker has started no beat:\n{worker.read_log()}")
