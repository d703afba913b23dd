"""Tables of the product. A conversation has turns, a turn has generations, a generation is the answer."""

from __future__ import annotations

from conversations.models.conversation import Conversation
from conversations.models.generation import Generation
from conversations.models.person import ApiKey, Preferences
from conversations.models.states import (
    CLAIMED_STATES,
    LIVE_STATES,
    TERMINAL_STATES,
    State,
    WaitingReason,
)
from conversations.models.turn import Turn

__all__ = [
    "CLAIMED_STATES",
    "LIVE_STATES",
    "TERMINAL_STATES",
    "ApiKey",
    "Conversation",
    "Generation",
    "Preferences",
    "State",
    "Turn",
    "WaitingReason",
]
