"""Forks web servers and workers that have loaded everything, so that many can be killed quickly.

``tests/forking.py`` says how; an order may have a ``fuse`` as well.
"""

from __future__ import annotations

import importlib
import os
import secrets
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.chaos.settings")

import conversations.broadcast
from llm.tokens import load
from tests.chaos import fuses, lossy
from tests.forking import serve

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


def be_another_process() -> None:
    """The name under which a process claims answers is made when it is loaded: each fork needs its own."""
    old = conversations.broadcast.PROCESS_ID
    fresh = f"{old.split(':')[0]}:{os.getpid()}:{secrets.token_hex(4)}"
    for module in tuple(sys.modules.values()):
        if getattr(module, "PROCESS_ID", None) == old:
            module.PROCESS_ID = fresh  # type: ignore[attr-defined]


def prepare(order: dict[str, Any]) -> None:
    be_another_process()
    if lossy.share():
        lossy.lose_hints()
    if order.get("fuse"):
        fuses.arm(fuses.Order(**order["fuse"]))


if __name__ == "__main__":
    for module in LOADED:
        importlib.import_module(module)
    load("o200k_base")
    serve(prepare)
