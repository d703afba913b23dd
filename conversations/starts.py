"""What a frame that starts an answer stands for: a verb on turns, and an order."""

from __future__ import annotations

import uuid

from conversations import frames, turns
from conversations.choices import Version
from conversations.queueing import Order, Started

_ORDERED = {"text", "model", "temperature", "max_output_tokens", "history"}
_VERSIONS: dict[type[frames.StartFrame], Version] = {
    frames.TurnRetry: "retry",
    frames.TurnContinue: "continue",
    frames.TurnRegenerate: "regenerate",
}


def start(frame: frames.StartFrame, *, user_id: int, conversation_id: uuid.UUID, is_asked: bool) -> Started:
    """Queue the answer. ``is_asked``: somebody is there who can confirm. Raises what the verb raises."""
    given = frame.model_dump(include=_ORDERED)
    order = Order(**given, confirmed=frame.confirm or not is_asked)
    match frame:
        case frames.TurnCreate():
            return turns.start_turn(
                user_id=user_id, conversation_id=conversation_id, turn_id=frame.turn_id, order=order
            )
        case frames.TurnEdit():
            return turns.edit_turn(
                user_id=user_id,
                conversation_id=conversation_id,
                turn_id=frame.turn_id,
                new_turn_id=frame.new_turn_id,
                order=order,
            )
    return turns.start_version(
        user_id=user_id,
        conversation_id=conversation_id,
        turn_id=frame.turn_id,
        generation_id=frame.generation_id,
        version=_VERSIONS[type(frame)],
        order=order,
    )
