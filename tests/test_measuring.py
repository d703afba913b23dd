from __future__ import annotations

import os
import subprocess
import sys

import pytest
from asgiref.sync import SyncToAsync
from coverage import Coverage

from tests import measuring

MEASURED = "COVERAGE_PROCESS_CONFIG" in os.environ


def test_it_measures_in_every_thread_that_lives_on() -> None:
    measuring.pause()
    assert Coverage.current() is None
    assert sys.gettrace() is None
    SyncToAsync.single_thread_executor.submit(int).result()
    measuring.resume()
    assert (Coverage.current() is not None) is MEASURED
    assert (SyncToAsync.single_thread_executor.submit(sys.gettrace).result() is not None) is MEASURED


@pytest.mark.no_cover
def test_it_spares_what_is_marked() -> None:
    assert sys.gettrace() is None


def test_a_process_loads_no_library_that_only_structlog_asks_for() -> None:
    question = "import sys, chatsite.logs; print({'rich', 'twisted'} & set(sys.modules))"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
    done = subprocess.run([sys.executable, "-c", question], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
