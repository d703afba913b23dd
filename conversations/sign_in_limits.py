"""How often a password may be tried. Counted in the cache; without it, each process counts for itself.

A try is counted before the password is looked at, so that many at once cannot slip through, and given back
when it was right. Three counts, each over a window of time:

- of a name from one address: who guesses waits, and nobody else does, least of all the person elsewhere;
- of an address, whatever the name: against trying one password with many names;
- of a name from everywhere: against guessing from many addresses. It does not hold where the person has
  signed in before, so an attack keeps nobody out of where they usually are.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import time
from dataclasses import dataclass

from django.core.cache import BaseCache, cache
from django.core.cache.backends.locmem import LocMemCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

FAMILIAR_SECONDS = 30 * 86_400
_LOCAL = LocMemCache("sign-in", {})


@dataclass(frozen=True, slots=True)
class Window:
    """So many tries in so many seconds, windows counted from the epoch."""

    scope: str
    tries: int
    seconds: int


PAIR = Window("pair", 10, 300)
ADDRESS = Window("address", 100, 300)
NAME = Window("name", 100, 3600)


def admit(name: str, address: str, *, now: float | None = None) -> int:
    """Count a try. 0 = it may go on; else it must wait for so many seconds, and counts no further."""
    now = _now() if now is None else now
    store = _store()
    waits = []
    for window, key in _keys(name, address, now):
        if window is NAME and store.get(_familiar(name, address)):
            continue
        store.add(key, 0, window.seconds)
        try:
            count = store.incr(key)
        except ValueError:  # it ended between the two
            count = 1
        if count > window.tries:
            waits.append(window.seconds - int(now) % window.seconds)
    if waits:
        logger.warning("too many tries to sign in", extra={"address": address, "wait_seconds": max(waits)})
    return max(waits, default=0)


def forgive(name: str, address: str, *, now: float | None = None) -> None:
    """The password was right: the try does not count, and the address is familiar from now on."""
    store = _store()
    for window, key in _keys(name, address, _now() if now is None else now):
        if window is PAIR:
            store.delete(key)
        elif (store.get(key) or 0) > 0:
            store.decr(key)
    store.set(_familiar(name, address), 1, FAMILIAR_SECONDS)


def _now() -> float:
    return time.time()


def _store() -> BaseCache:
    try:
        cache.get("sign-in")
    except (RedisError, OSError):
        logger.exception("the cache did not answer, so this process counts tries to sign in for itself")
        return _LOCAL
    return cache


def _keys(name: str, address: str, now: float) -> list[tuple[Window, str]]:
    who = {PAIR: f"{_name(name)}|{_network(address)}", ADDRESS: _network(address), NAME: _name(name)}
    return [
        (window, f"sign-in:{window.scope}:{_digest(text)}:{int(now) // window.seconds}")
        for window, text in who.items()
    ]


def _familiar(name: str, address: str) -> str:
    return f"sign-in:familiar:{_digest(f'{_name(name)}|{_network(address)}')}"


def _name(name: str) -> str:
    return name.strip().casefold()


def _network(address: str) -> str:
    """The address; of IPv6 the /64, all of which usually belongs to one connection."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if found.version == 6 else str(found)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
