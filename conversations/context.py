"""The context of a call: which messages of the conversation are sent, under a token budget.

Pure functions over the exchanges of a branch. The newest question is always in; older turns follow from the
newest back, whole turns only, while they fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm.messages import ChatRequest, Message
from llm.profiles import Profile
from llm.tokens import estimate_input_tokens

# Share of the room beside the answer that history may fill: estimates of foreign tokenizers are rough.
HISTORY_SHARE_PERCENT = 75
# Turns read from the database for a context; longer histories do not fit anyway.
HISTORY_TURNS = 200


@dataclass(frozen=True, slots=True)
class Exchange:
    """An earlier question and its answer; "" where there is none."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Context:
    request: ChatRequest
    input_tokens: int  # our estimate for the whole request
    dropped_turns: int  # older turns that did not fit


class ContextTooLong(Exception):
    """The question alone leaves no room for an answer. ``room_tokens`` is what there is."""

    def __init__(self, input_tokens: int, room_tokens: int) -> None:
        super().__init__(f"{input_tokens} tokens of input, room for {room_tokens}")
        self.input_tokens = input_tokens
        self.room_tokens = room_tokens


def build_context(
    *,
    history: Sequence[Exchange],
    question: str,
    system: str,
    profile: Profile,
    temperature: float | None,
    max_output_tokens: int,
    partial_answer: str = "",
    attempt: int = 1,
) -> Context:
    """The request for ``question`` after ``history``, root first.

    ``partial_answer`` is the beginning of the answer when it is to be continued. Raises
    :class:`ContextTooLong` when the question does not fit by itself.
    """
    tail = [Message("user", question)]
    if partial_answer:
        tail.append(Message("assistant", partial_answer))

    def request(messages: list[Message]) -> ChatRequest:
        return ChatRequest(
            model=profile.name,
            messages=tuple(messages),
            max_output_tokens=max_output_tokens,
            system=system,
            temperature=temperature,
            attempt=attempt,
        )

    room = profile.context_window_tokens - max_output_tokens
    spent = estimate_input_tokens(request(tail), profile.encoding)
    if spent > room:
        raise ContextTooLong(spent, max(room, 0))
    budget = room * HISTORY_SHARE_PERCENT // 100
    older: list[list[Message]] = []
    dropped = 0
    for position in range(len(history) - 1, -1, -1):
        messages = _messages_of(history[position])
        cost = estimate_input_tokens(_bare(messages), profile.encoding)
        if spent + cost > budget:
            dropped = position + 1
            break
        older.append(messages)
        spent += cost
    older.reverse()
    whole = request([message for messages in older for message in messages] + tail)
    return Context(whole, estimate_input_tokens(whole, profile.encoding), dropped)


def _messages_of(exchange: Exchange) -> list[Message]:
    messages = [Message("user", exchange.question)]
    if exchange.answer:
        messages.append(Message("assistant", exchange.answer))
    return messages


def _bare(messages: Sequence[Message]) -> ChatRequest:
    return ChatRequest(model="", messages=tuple(messages), max_output_tokens=1)
