"""Forks web servers and workers that have everything loaded already, so that many can be killed quickly.

``python -m tests.chaos.zygote`` reads one JSON order a line, ``{"name", "command", "log", "fuse"}``, where
the command is the launcher's own (``python -m uvicorn …``). Each fork leads a session of its own, takes the
command's words and runs the same program as the command would. Answers, one JSON object a line:
``{"forked": PID, "name": NAME}`` and, whenever one ended, ``{"ended": PID, "status": STATUS}``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import secrets
import signal
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.chaos.settings")

import conversations.broadcast
from llm.tokens import load
from tests.chaos import fuses, lossy

# What webs and workers load, loaded before the forks.
LOADED = (
    "celery.apps.worker",
    "celery.bin.worker",
    "chatsite.asgi",
    "chatsite.celery",
    "chatsite.urls",
    "conversations.tasks",
    "llm.providers.openai_compatible",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
)


def say(**values: Any) -> None:
    os.write(1, json.dumps(values).encode() + b"\n")


def reap(*_: Any) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            say(ended=pid, status=status)


def be_another_process() -> None:
    """The name under which a process claims answers is made when it is loaded: each fork needs its own."""
    old = conversations.broadcast.PROCESS_ID
    fresh = f"{old.split(':')[0]}:{os.getpid()}:{secrets.token_hex(4)}"
    for module in tuple(sys.modules.values()):
        if getattr(module, "PROCESS_ID", None) == old:
            module.PROCESS_ID = fresh  # type: ignore[attr-defined]


def run(order: dict[str, Any]) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, number in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, number)
    be_another_process()
    if lossy.share():
        lossy.lose_hints()
    if order.get("fuse"):
        fuses.arm(fuses.Order(**order["fuse"]))
    words = order["command"]
    at = words.index("-m")
    sys.argv = [words[at + 1], *words[at + 2 :]]
    runpy.run_module(words[at + 1], run_name="__main__", alter_sys=True)


def main() -> None:
    for module in LOADED:
        importlib.import_module(module)
    load("o200k_base")
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, reap)
    say(ready=os.getpid())
    for line in sys.stdin:
        order = json.loads(line)
        # A child may end before its birth is told.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            code: Any = 1
            try:
                run(order)
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 0
            finally:
                sys.stderr.flush()
                os._exit(code or 0)
        say(forked=pid, name=order["name"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


if __name__ == "__main__":
    main()
