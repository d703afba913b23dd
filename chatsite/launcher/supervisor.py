"""Starts the site and keeps it running: Valkey, the database, the web process, the worker.

The order of the start is the order of need; the order of the end is its reverse. The launcher
itself never loads Django: preparing the database is a short-lived process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from chatsite.data_folder import (
    REDIS_URL_FILE,
    DataFolderBusyError,
    FolderLock,
    ensure_secret_key,
    write_private,
)
from chatsite.env import env_float, env_str, load_env_file
from chatsite.launcher.address import Address, AddressError, read_address
from chatsite.launcher.children import Child, Guard, how_it_ended, say
from chatsite.valkey import EmbeddedValkey, ValkeyUnavailableError

ROOT = Path(__file__).resolve().parents[2]
READY_TIMEOUT_SECONDS = 60.0
DEATHS_BEFORE_GIVING_UP = 3


class StartError(Exception):
    """The site cannot be started; the message is for a person."""


class Stop(Exception):
    """Ends a start that is still under way."""


def web_command(address: Address) -> list[str]:
    """One uvicorn process. Why these options: docs/decisions/030."""
    options = {
        "--host": address.host,
        "--port": str(address.port),
        "--loop": "uvloop",
        "--http": "httptools",
        "--ws": "websockets-sansio",
        "--ws-max-size": "65536",
        "--ws-per-message-deflate": "false",
        "--ws-ping-interval": "20",
        "--ws-ping-timeout": "20",
        "--log-level": "warning",
        "--timeout-graceful-shutdown": "35",
    }
    words = [word for pair in options.items() for word in pair]
    flags = ["--no-access-log", "--no-server-header", "--proxy-headers"]
    return [sys.executable, "-m", "uvicorn", "chatsite.asgi:application", *words, *flags]


def worker_command() -> list[str]:
    """One Celery worker with beat inside; alone, it needs no gossip with others."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    queues = ["--pool", "threads", "--queues", "celery,sweep", "--beat"]
    # A container's only user is often root; that is the container's business.
    root = ["-W", "ignore:You're running the worker with superuser:RuntimeWarning"]
    return [sys.executable, *root, "-m", "celery", "--quiet", "--app", "chatsite", "worker", *queues, *quiet]


class Supervisor:
    """One run of the site, from the first check to the last process."""

    def __init__(self, address: Address, folder: Path, guard: Guard) -> None:
        self.address = address
        self.folder = folder
        self.guard = guard
        self.environment = dict(os.environ)
        self.drain_seconds = env_float("DRAIN_SECONDS", 30.0, minimum=0)
        self.children: list[Child] = []
        self.watchers: list[asyncio.Task[None]] = []
        self.stop_asked = asyncio.Event()
        self.hurry = asyncio.Event()

    async def run(self) -> None:
        """Returns when the site has been stopped; raises StartError when it does not start."""
        self.hear_signals()
        parent = asyncio.create_task(self.follow_parent())
        try:
            await self.start_redis()
            sign_in = await self.prepare()
            web = self.child("web process", web_command(self.address), self.drain_seconds + 45)
            worker = self.child("worker", worker_command(), self.drain_seconds + 10)
            await web.start()
            await worker.start()
            self.watch(web, worker)
            await self.wait_until_ready(web)
            say(self.greeting(sign_in))
            await self.stop_asked.wait()
        except Stop:
            pass
        finally:
            parent.cancel()
            await self.stop_all()

    def hear_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.ask_to_stop)

    def ask_to_stop(self) -> None:
        """The first time: in order. The second time: at once."""
        if self.stop_asked.is_set():
            self.hurry.set()
        self.stop_asked.set()

    async def follow_parent(self) -> None:
        """Ends the site when the program that started it (make, a shell) is killed."""
        parent = os.getppid()
        while os.getppid() == parent:  # noqa: ASYNC110 - the kernel announces a parent's end to nobody
            await asyncio.sleep(0.5)
        self.stop_asked.set()

    def child(self, name: str, command: list[str], grace_seconds: float) -> Child:
        child = Child(name, command, self.environment, self.guard, grace_seconds)
        self.children.append(child)
        return child

    def watch(self, *children: Child) -> None:
        self.watchers += [asyncio.create_task(child.watch()) for child in children]

    async def start_redis(self) -> None:
        """Takes the Redis of REDIS_URL, or starts the embedded Valkey and names it to the children."""
        if env_str("REDIS_URL"):
            self.environment["REDIS_URL"] = env_str("REDIS_URL")
            return
        server = EmbeddedValkey(self.folder / "valkey")
        child = self.child("embedded Valkey", server.prepare(), 10)
        await child.start()
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not server.is_ready():
            self.check_stop()
            assert child.process is not None
            if child.process.returncode is not None or time.monotonic() > deadline:
                raise StartError(f"The embedded Valkey does not start.\n{server.last_words()}")
            await asyncio.sleep(0.02)
        self.watch(child)
        self.environment["REDIS_URL"] = server.url
        write_private(self.folder / REDIS_URL_FILE, server.url)

    async def prepare(self) -> Mapping[str, str]:
        """Migrations, first admin, static files; returns how to sign in."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "manage.py"),
            "prepare",
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            process_group=0,
        )
        self.guard.add(process.pid)
        reading = asyncio.create_task(process.communicate())
        stopping = asyncio.create_task(self.stop_asked.wait())
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not reading.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        output, _ = await reading
        self.guard.remove(process.pid)
        self.check_stop()
        if process.returncode:
            raise StartError(f"Preparing the site failed ({how_it_ended(process.returncode)}); see above.")
        answer: dict[str, str] = json.loads(output.decode().strip().splitlines()[-1])
        return answer

    async def wait_until_ready(self, web: Child) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while not await asyncio.to_thread(self.address.answers):
            self.check_stop()
            if web.deaths >= DEATHS_BEFORE_GIVING_UP or time.monotonic() > deadline:
                raise StartError("The web process does not answer; see above.")
            await asyncio.sleep(0.05)

    def check_stop(self) -> None:
        if self.stop_asked.is_set():
            raise Stop

    def greeting(self, sign_in: Mapping[str, str]) -> str:
        public = env_str("PUBLIC_URL")
        lines = ["", f"Chatsite is running: {public or self.address.url}"]
        if public:
            lines.append(f"Its proxy must pass requests on to {self.address.url}")
        name = sign_in.get("username", "")
        if sign_in.get("password"):
            lines.append(f"Sign in as {name} with the password {sign_in['password']} (shown only this once)")
        elif sign_in.get("created"):
            lines.append(f"Sign in as {name} with the password from CHATSITE_ADMIN_PASSWORD.")
        elif name:
            lines.append(f"Sign in as {name}.  (Forgotten? .venv/bin/python manage.py changepassword {name})")
        if not self.address.is_loopback and not public and not env_str("ALLOWED_HOSTS"):
            lines.append("Other machines are refused until PUBLIC_URL or ALLOWED_HOSTS names this one.")
        lines += ["Ctrl-C stops it.", ""]
        return "\n".join(lines)

    async def stop_all(self) -> None:
        """Web and worker together, then Valkey, which both need to the last moment."""
        if self.children:
            say("\nStopping … (answers being written get a moment to end; Ctrl-C again stops at once)")
        for child in self.children:
            child.stopping = True
        first = [child for child in self.children if child.name != "embedded Valkey"]
        last = [child for child in self.children if child.name == "embedded Valkey"]
        for group in (first, last):
            await asyncio.gather(*(child.stop(self.hurry) for child in group))
        for watcher in self.watchers:
            watcher.cancel()
        await asyncio.gather(*self.watchers, return_exceptions=True)
        (self.folder / REDIS_URL_FILE).unlink(missing_ok=True)
        if self.children:
            say("Stopped.")


@contextlib.contextmanager
def open_folder() -> Iterator[tuple[Path, FolderLock]]:
    """Makes the data folder where there is none, and locks it."""
    folder = Path(env_str("CHATSITE_DATA_DIR") or ROOT / "data").expanduser().resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FolderLock(folder)
        lock.take()
    except OSError as error:
        raise StartError(f"The data folder {folder} cannot be used: {error.strerror}.") from error
    yield folder, lock


def main() -> int:
    """Exit code 0 after a stop that was asked for, 1 with a sentence otherwise."""
    load_env_file()
    try:
        with open_folder() as (folder, lock):
            address = read_address()
            os.environ["CHATSITE_DATA_DIR"] = str(folder)
            os.environ["HOST"] = address.host
            os.environ["PORT"] = str(address.port)
            if not env_str("SECRET_KEY"):
                os.environ["SECRET_KEY"] = ensure_secret_key(folder)
            lock.describe(address.url)
            os.chdir(ROOT)
            guard = Guard(lock.fileno())
            try:
                asyncio.run(Supervisor(address, folder, guard).run())
            finally:
                guard.close()
    except (StartError, AddressError, DataFolderBusyError, ValkeyUnavailableError) as error:
        say(f"\n{error}")
        return 1
    return 0
