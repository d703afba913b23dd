"""Tables of the product. A conversation has turns, a turn has generations, a generation is the answer."""

from __future__ import annotations

from conversations.models.call import CallDay, CallHour, CallRecord, LatencyDay, LatencyHour, Measure
from conversations.models.conversation import Conversation
from conversations.models.feedback import Feedback
from conversations.models.generation import Generation
from conversations.models.person import ApiKey, Preferences
from conversations.models.pulse import Pulse
from conversations.models.states import (
    CLAIMED_STATES,
    LIVE_STATES,
    TERMINAL_STATES,
    ContextMark,
    ContextPolicy,
    Remedy,
    State,
    WaitingReason,
)
from conversations.models.summary import Summary
from conversations.models.turn import Turn, TurnKind

__all__ = [
    "CLAIMED_STATES",
    "LIVE_STATES",
    "TERMINAL_STATES",
    "ApiKey",
    "CallDay",
    "CallHour",
    "CallRecord",
    "ContextMark",
    "ContextPolicy",
    "Conversation",
    "Feedback",
    "Generation",
    "LatencyDay",
    "LatencyHour",
    "Measure",
    "Preferences",
    "Pulse",
    "Remedy",
    "State",
    "Summary",
    "Turn",
    "TurnKind",
    "WaitingReason",
]
