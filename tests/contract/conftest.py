"""The REST door, as in the tests of the conversations."""

from __future__ import annotations

from tests.conversations.conftest import alice_key, rest

__all__ = ["alice_key", "rest"]
