"""Programs at the REST door, as the other tests of it have them."""

from __future__ import annotations

from tests.conversations.conftest import alice_key, outsider, rest

__all__ = ["alice_key", "outsider", "rest"]
