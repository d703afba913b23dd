"""What every test may use: a Valkey, the cast (alice, bob, charlie, root), the marks."""

from __future__ import annotations

import functools
import gc
import json
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis.utils
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from hypothesis import HealthCheck, settings

import tests.append_only  # noqa: F401 - lets the flush after a test empty the ledger
from billing import accounts
from billing.models import BillingGroup
from chatsite.valkey import EmbeddedValkey
from llm.profiles import clear_cache
from tests import measuring
from tests.browser import find_chromium, find_firefox

DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "django_db_reset_sequences"}
COUNTED_MARKS = ("browser", "in_firefox", "story", "database", "live")
# What is loaded and collected stays: looking through it for garbage was a fifth of loading it.
gc.disable()
# redis-py looks for its own version at each new connection, and each test makes some.
redis.utils.get_lib_version = functools.cache(redis.utils.get_lib_version)
# Longer than all but a few tests take.
TURN_OF_HOUR_SECONDS = 20.0
VALKEY: pytest.StashKey[EmbeddedValkey] = pytest.StashKey()

settings.register_profile("default", max_examples=60, deadline=None)
settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True, print_blob=True)
settings.register_profile(
    "long", max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") == "true" else "default")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the tests marked long as well")
    parser.addoption("--live", action="store_true", help="run only the tests against real providers")
    parser.addoption("--counts", metavar="FILE", help="write how many tests of each mark passed, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.help or config.option.version:
        return
    if _only_directs(config):
        measuring.pause()
        return
    folder = Path(tempfile.mkdtemp(prefix="chatsite-valkey-"))
    port = urlsplit(os.environ["REDIS_URL"]).port
    server = EmbeddedValkey(folder, port=port, password="", append_only=False)
    server.start()
    config.stash[VALKEY] = server


def pytest_unconfigure(config: pytest.Config) -> None:
    server = config.stash.get(VALKEY, None)
    if server is not None:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


def _only_directs(config: pytest.Config) -> bool:
    """Whether this process hands all tests to xdist workers and runs none itself."""
    return not hasattr(config, "workerinput") and bool(getattr(config.option, "numprocesses", None))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """From here on the garbage collector looks at what the tests make, and at nothing older."""
    measuring.load_apps()
    measuring.pause()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chromium, firefox = find_chromium(), find_firefox()
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES:
            item.add_marker("database")
        if item.get_closest_marker("in_firefox"):
            if firefox is None:
                item.add_marker(pytest.mark.skip(reason="no Firefox found: its browser stories not run"))
        elif item.get_closest_marker("browser") and chromium is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium found: browser stories not run"))
        if item.get_closest_marker("long") and not config.option.long:
            item.add_marker(pytest.mark.skip(reason="runs with make test-long"))
        if bool(item.get_closest_marker("live")) != bool(config.option.live):
            word = "runs with make test-live" if not config.option.live else "not a live test"
            item.add_marker(pytest.mark.skip(reason=word))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    measuring.follow(item)
    # No test spans the turn of an hour, a day, a month: what it makes in one it would read in the other.
    left = 3600 - time.time() % 3600
    if left < TURN_OF_HOUR_SECONDS:
        time.sleep(left)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Says how many stories really ran, so that a silent skip cannot pass for a success."""
    passed: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for outcome, counter in (("passed", passed), ("skipped", skipped)):
        for report in terminalreporter.stats.get(outcome, []):
            counter.update(mark for mark in COUNTED_MARKS if mark in getattr(report, "keywords", ()))
    line = ", ".join(
        f"{mark} {passed[mark]} passed" + (f" {skipped[mark]} skipped" if skipped[mark] else "")
        for mark in COUNTED_MARKS
        if passed[mark] or skipped[mark]
    )
    if line:
        terminalreporter.write_line(f"Of these: {line}")
    if skipped["browser"] and find_chromium() is None:
        terminalreporter.write_line(
            "BROWSER STORIES NOT RUN: no Chromium found (set CHROMIUM to one)", red=True
        )
    if skipped["in_firefox"] and find_firefox() is None:
        terminalreporter.write_line("STORIES IN FIREFOX NOT RUN: none found (set FIREFOX to one)", red=True)
    if config.option.counts:
        total = {"all": len(terminalreporter.stats.get("passed", [])), **passed}
        Path(config.option.counts).write_text(json.dumps(total), encoding="utf-8")


@pytest.fixture(autouse=True)
def fresh_models() -> None:
    """Model rows that an earlier test has rolled back must not live on in the cache."""
    clear_cache()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the Chromium to drive; start it with ``tests.browser.ARGUMENTS``."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium found")
    return path


@pytest.fixture
def redis_url() -> str:
    """The address of this process's own Valkey, emptied for this test."""
    url = os.environ["REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def alice(db: None) -> User:
    """The person the story is about."""
    return _user("alice")


@pytest.fixture
def bob(db: None, alice: User) -> User:
    """A colleague: in the same billing group as alice, "team", and in none of her chats."""
    person = _user("bob")
    _join_team(alice, person)
    return person


@pytest.fixture
def charlie(db: None) -> User:
    """An outsider, who must never see what belongs to alice."""
    return _user("charlie")


@pytest.fixture
def root(db: None) -> User:
    """The operator: a superuser."""
    return get_user_model().objects.create_superuser("root", "root@example.org", "root-password")


def _user(name: str) -> User:
    return get_user_model().objects.create_user(name, f"{name}@example.org", f"{name}-password")


def _join_team(*people: User) -> None:
    group, _ = BillingGroup.objects.get_or_create(name="team")
    for person in people:
        accounts.join_group(user_id=person.pk, group=group)
