"""The database, also while it restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError

from conversations.database import in_database

R = TypeVar("R")


async def patiently(verb: Callable[..., R], *args: Any) -> R:
    """Ask the database, also while it restarts."""
    while True:
        try:
            return await in_database(verb, *args)
        except (InterfaceError, OperationalError):
            await asyncio.sleep(0.2)
