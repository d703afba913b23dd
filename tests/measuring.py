"""What counts for the coverage: ``coverage run -m pytest`` measures this process and all that it starts.

Being measured makes Python half as slow again, so what proves nothing about lines is spared it: the
collection, the stories (what they run is in other processes), and tests marked ``no_cover``.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading

import pytest
from asgiref.sync import SyncToAsync
from coverage import Coverage

from tests.coverage_gate import APPS

SPARED = ("no_cover", "story", "browser")
# What does something when it is loaded, or is loaded by Django where it is wanted.
NOT_LOADED = ("migrations", "management", "asgi", "__main__")

_paused: list[Coverage] = []


def follow(item: pytest.Item) -> None:
    """Measures from here on if the test counts, and does not if it is spared."""
    if any(item.get_closest_marker(mark) for mark in SPARED):
        pause()
    else:
        resume()


def pause() -> None:
    while measuring := Coverage.current():
        measuring.stop()
        _paused.append(measuring)


def resume() -> None:
    if not _paused:
        return
    while _paused:
        _paused.pop().start()
    # asgiref's thread lives as long as the process, and a thread can only be measured from inside.
    SyncToAsync.single_thread_executor.submit(sys.settrace, threading.gettrace())


def load_apps() -> None:
    """Loads what the tests import, so that the lines outside of functions count before the collection."""
    for app in APPS:
        for module in pkgutil.walk_packages([app], f"{app}."):
            if not set(NOT_LOADED) & set(module.name.split(".")):
                importlib.import_module(module.name)
