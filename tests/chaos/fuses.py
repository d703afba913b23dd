"""Fuses: a process that kills itself with SIGKILL at one exact point of the product's code.

Nothing in the product knows of them. A fuse is armed in a child process before its program runs, by
replacing functions of the product wherever they were imported. A *trigger* says where:

    before:FUNCTION        just before the call
    after:FUNCTION         just after it returned
    commit-before:FUNCTION before the COMMIT of the transaction in which it was called
    commit-after:FUNCTION  after that COMMIT, before anything else happens
    inside:FUNCTION:K      at its K-th SQL statement, or at its end where it has fewer

Every process with a fuse also notes what it has brought to safety (texts in the database, records in the
stream log), so that the test knows what must not be lost.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

Wrapper = Callable[..., Any]

# Some functions are called for other things too: the call counts when this says so.
COUNTS: dict[str, Callable[..., bool]] = {
    "conversations.statements.store_beats": lambda beats, **_: any(beat[3] > 0 for beat in beats),
    "conversations.stream_log.LogWriter._flush": lambda writer, **_: any(writer._written.values()),
    "billing.settlements.expire_holds": lambda **_: True,
}


@dataclass(frozen=True)
class Order:
    """``passes``: at which passing of the point it burns, 1 = the first."""

    trigger: str
    witness: str
    passes: int = 1


@dataclass
class Fuse:
    order: Order
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.order.passes
        self.lock = threading.Lock()

    def burn(self) -> None:
        with self.lock:
            self.left -= 1
            if self.left > 0:
                return
            note(self.order.witness, burnt=self.order.trigger)
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(3600)


def note(path: str, **values: Any) -> None:
    """One line in one write: it is there when the process is killed right after."""
    line = json.dumps({**values, "pid": os.getpid(), "at": time.time()}).encode() + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, line)
    os.close(descriptor)


def arm(order: Order) -> None:
    watch(order.witness)
    kind, _, where = order.trigger.partition(":")
    fuse = Fuse(order)
    if kind in ("before", "after"):
        replace(where, around(where, fuse.burn, when=kind))
    elif kind in ("commit-before", "commit-after"):
        at_commit(where, lambda *_, **__: fuse.burn(), when=kind.removeprefix("commit-"))
    elif kind == "inside":
        where, _, number = where.partition(":")
        replace(where, inside(fuse, int(number)))
    else:
        raise ValueError(f"no such trigger: {order.trigger}")


def watch(witness: str) -> None:
    """Note every text that reached the database or the stream log."""

    def stored(beats: Any, **_: Any) -> None:
        note(witness, stored={str(beat[0]): beat[3] for beat in beats if beat[3]})

    at_commit("conversations.statements.store_beats", stored, when="after")

    def logged(writer: Any, **_: Any) -> None:
        found = {str(stream.generation_id): seq for stream, seq in writer._written.items() if seq}
        if found:
            note(witness, logged=found)

    path = "conversations.stream_log.LogWriter._flush"
    replace(path, around(path, logged, when="after", passing=True))


def find(path: str) -> tuple[Any, str, Any]:
    """(module or class, name, value) of a dotted path."""
    words = path.split(".")
    for length in range(len(words) - 1, 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for word in words[length:-1]:
            owner = getattr(owner, word)
        return owner, words[-1], getattr(owner, words[-1])
    raise LookupError(path)


def replace(path: str, wrap: Callable[[Any], Any]) -> None:
    """Replace a function in its home and wherever it was imported."""
    owner, name, original = find(path)
    wrapped = wrap(original)
    setattr(owner, name, wrapped)
    for module in tuple(sys.modules.values()):
        for key, value in tuple(vars(module).items()) if hasattr(module, "__dict__") else ():
            if value is original:
                setattr(module, key, wrapped)


def around(path: str, act: Wrapper, *, when: str, passing: bool = False) -> Callable[[Any], Any]:
    """``act`` before or after each call that counts; ``passing``: with the call's arguments."""
    counts = COUNTS.get(path, lambda *_, **__: True)

    def step(now: str, args: Any, kwargs: Any) -> None:
        if now == when and counts(*args, **kwargs):
            act(*args, **kwargs) if passing else act()

    def wrap(original: Any) -> Any:
        @functools.wraps(original)
        def called(*args: Any, **kwargs: Any) -> Any:
            step("before", args, kwargs)
            result = original(*args, **kwargs)
            step("after", args, kwargs)
            return result

        @functools.wraps(original)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            step("before", args, kwargs)
            result = await original(*args, **kwargs)
            step("after", args, kwargs)
            return result

        return awaited if inspect.iscoroutinefunction(original) else called

    return wrap


def at_commit(path: str, act: Wrapper, *, when: str) -> None:
    """``act`` before or after the COMMIT of each transaction in which the function was called and counted."""
    pending = threading.local()

    def mark(*args: Any, **kwargs: Any) -> None:
        pending.call = (args, kwargs)

    replace(path, around(path, mark, when="after", passing=True))
    commit, rollback = BaseDatabaseWrapper.commit, BaseDatabaseWrapper.rollback

    def committing(wrapper: Any) -> Any:
        call = pending.__dict__.pop("call", None)
        if call is not None and when == "before":
            act(*call[0], **call[1])
        commit(wrapper)
        if call is not None and when == "after":
            act(*call[0], **call[1])

    def rolling_back(wrapper: Any) -> Any:
        pending.__dict__.pop("call", None)
        rollback(wrapper)

    for name, method in (("commit", committing), ("rollback", rolling_back)):
        setattr(BaseDatabaseWrapper, name, method)


def inside(fuse: Fuse, number: int) -> Callable[[Any], Any]:
    def wrap(original: Any) -> Any:
        @functools.wraps(original)
        def called(*args: Any, **kwargs: Any) -> Any:
            count = 0

            def statement(execute: Wrapper, *arguments: Any) -> Any:
                nonlocal count
                result = execute(*arguments)
                count += 1
                if count == number:
                    fuse.burn()
                return result

            with connection.execute_wrapper(statement):
                result = original(*args, **kwargs)
            if count < number:
                fuse.burn()
            return result

        return called

    return wrap
