"""Ids of rows."""

from __future__ import annotations

import uuid

from uuid_utils.compat import uuid7


def new_id() -> uuid.UUID:
    """A version 7 UUID: unique, and in the order of creation."""
    return uuid7()
