"""The context of a call: which messages of the conversation are sent, under a token budget.

Pure functions over the messages of a branch. What is always in: the system prompt and the newest question.
Then, while they fit: pinned messages, the summary of older turns, and the other turns from the newest back,
as far as the policy goes. What a person has excluded is never in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from conversations.exchanges import Exchange, History, SummaryText
from conversations.models import ContextMark, ContextPolicy
from conversations.parts import Parts
from llm.messages import ChatRequest, Message, Role
from llm.profiles import Profile
from llm.tokens import MESSAGE_OVERHEAD_TOKENS, REPLY_PRIMING_TOKENS, count_tokens, estimate_input_tokens

# Share of the room beside the answer that history may fill: estimates of foreign tokenizers are rough.
HISTORY_SHARE_PERCENT = 75
# Turns read from the database for a context; longer histories do not fit anyway.
HISTORY_TURNS = 200
LAST_MESSAGES = 10
LAST_TOKENS = 2000
SUMMARY_HEADING = "Summary of the earlier part of this conversation:\n\n"
# Providers want a question before each answer.
STAND_IN = "(A question that is left out here.)"

Status = Literal["in", "pinned", "summarised", "dropped", "excluded"]


@dataclass(frozen=True, slots=True)
class ContextMessage:
    """An earlier message and what becomes of it."""

    exchange: Exchange
    role: Role
    status: Status

    @property
    def text(self) -> str:
        return self.exchange.question if self.role == "user" else self.exchange.answer

    @property
    def mark(self) -> str:
        return self.exchange.question_mark if self.role == "user" else self.exchange.answer_mark


@dataclass(frozen=True, slots=True)
class Context:
    request: ChatRequest
    input_tokens: int  # our estimate for the whole request
    parts: Parts
    messages: tuple[ContextMessage, ...]  # all earlier ones, root first, also those that are not sent
    summary: SummaryText | None  # the one that is sent
    budget_tokens: int  # the most that the input may take with history
    older_turns: int = 0  # before those, and neither sent nor in the summary
    is_cut: bool = False  # something that was wanted is not sent because it does not fit

    @property
    def dropped_turns(self) -> int:
        """Earlier questions that are not sent, neither in full nor in the summary."""
        dropped = sum(one.role == "user" and one.status == "dropped" for one in self.messages)
        return dropped + self.older_turns


class ContextTooLong(Exception):
    """The question alone leaves no room for an answer. ``room_tokens`` is what there is."""

    def __init__(self, input_tokens: int, room_tokens: int) -> None:
        super().__init__(f"{input_tokens} tokens of input, room for {room_tokens}")
        self.input_tokens = input_tokens
        self.room_tokens = room_tokens


def build_context(
    *,
    history: History,
    question: str,
    system: str,
    profile: Profile,
    temperature: float | None,
    max_output_tokens: int,
    partial_answer: str = "",
    attempt: int = 1,
    most_input_tokens: int | None = None,
) -> Context:
    """The request for ``question`` after ``history``.

    ``partial_answer`` is the beginning of the answer when it is to be continued. ``most_input_tokens`` is
    what was held for the input: history that has grown since does not go beyond it. Raises
    :class:`ContextTooLong` when the question does not fit by itself.
    """
    encoding = profile.encoding
    # The provider may count more than is counted here.
    room = profile.estimate.fitting(profile.context_window_tokens - max_output_tokens)
    tail = [Message("user", question)]
    if partial_answer:
        tail.append(Message("assistant", partial_answer))
    system_tokens = message_tokens(system, encoding) if system else 0
    fixed = system_tokens + REPLY_PRIMING_TOKENS + sum(message_tokens(one.text, encoding) for one in tail)
    if fixed > room:
        raise ContextTooLong(fixed, max(room, 0))
    budget = room * HISTORY_SHARE_PERCENT // 100
    if most_input_tokens is not None:
        budget = min(budget, most_input_tokens)
    chosen = _Choice(history, encoding, budget - fixed)
    request = ChatRequest(
        model=profile.name,
        messages=(*chosen.sent(), *tail),
        max_output_tokens=max_output_tokens,
        system=system,
        temperature=temperature,
        attempt=attempt,
    )
    total = estimate_input_tokens(request, encoding)
    questions, answers, summary = chosen.shares()
    if partial_answer:
        answers += message_tokens(partial_answer, encoding)
    parts = Parts(
        system=system_tokens,
        questions=questions,
        answers=answers,
        summary=summary,
        message=total - system_tokens - questions - answers - summary,
    )
    return Context(
        request,
        total,
        parts,
        tuple(chosen.messages()),
        chosen.summary,
        budget,
        chosen.older_dropped(),
        chosen.is_cut,
    )


def message_tokens(text: str, encoding: str) -> int:
    """What one message of this text takes in a request."""
    return MESSAGE_OVERHEAD_TOKENS + count_tokens(text, encoding)


def summary_message(text: str) -> Message:
    return Message("user", SUMMARY_HEADING + text)


@dataclass(slots=True)
class _Choice:
    """Which earlier messages are sent, within ``room`` tokens. Filled when it is made."""

    history: History
    encoding: str
    room: int
    summary: SummaryText | None = None
    is_cut: bool = False
    _exchanges: tuple[Exchange, ...] = ()
    _chosen: set[tuple[int, Role]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._exchanges = self.history.pinned_before + self.history.exchanges
        self._pin()
        self._summarise()
        self._recall()

    @property
    def _offset(self) -> int:
        return len(self.history.pinned_before)

    def _pin(self) -> None:
        for index in reversed(range(len(self._exchanges))):
            for role in ("assistant", "user"):
                exchange = self._exchanges[index]
                if _mark(exchange, role) == ContextMark.PINNED and role in dict(_texts(exchange)):
                    self._take(index, [role])

    def _summarise(self) -> None:
        summary = self.history.summary
        if summary is None:
            return
        tokens = message_tokens(SUMMARY_HEADING + summary.text, self.encoding)
        if tokens > self.room:
            self.is_cut = True
            return
        self.room -= tokens
        self.summary = summary

    def _recall(self) -> None:
        """From the newest back, each turn whole or not at all; the first that does not fit ends it."""
        messages_left, tokens_left = LAST_MESSAGES, LAST_TOKENS
        begin = self._offset + (self.summary.end if self.summary else 0)
        for index in range(len(self._exchanges) - 1, begin - 1, -1):
            roles = [
                role
                for role, _ in _texts(self._exchanges[index])
                if (index, role) not in self._chosen and not _mark(self._exchanges[index], role)
            ]
            if not roles:
                continue
            before = self.room
            if self.history.policy == ContextPolicy.LAST_10_MESSAGES and len(roles) > messages_left:
                return
            most = tokens_left if self.history.policy == ContextPolicy.LAST_2000_TOKENS else self.room
            if not self._take(index, roles, most=most):
                return
            messages_left -= len(roles)
            tokens_left -= before - self.room

    def _take(self, index: int, roles: list[Role], *, most: int | None = None) -> bool:
        """Send these messages of an exchange, if they fit; an answer alone needs a question before it."""
        texts = dict(_texts(self._exchanges[index]))
        tokens = sum(message_tokens(texts[role], self.encoding) for role in roles)
        has_question = "user" in roles or (index, "user") in self._chosen
        if "assistant" in roles and not has_question:
            tokens += message_tokens(STAND_IN, self.encoding)
        if tokens > (self.room if most is None else min(most, self.room)):
            self.is_cut = self.is_cut or tokens > self.room
            return False
        self.room -= tokens
        self._chosen.update((index, role) for role in roles)
        return True

    def sent(self) -> Iterator[Message]:
        if self.summary is not None:
            yield summary_message(self.summary.text)
        for index, exchange in enumerate(self._exchanges):
            for role, text in _texts(exchange):
                if (index, role) in self._chosen:
                    if role == "assistant" and (index, "user") not in self._chosen:
                        yield Message("user", STAND_IN)
                    yield Message(role, text)

    def shares(self) -> tuple[int, int, int]:
        """Tokens of earlier questions, earlier answers and the summary."""
        shares: dict[Role, int] = {"user": 0, "assistant": 0}
        stand_in = message_tokens(STAND_IN, self.encoding)
        for index, role in self._chosen:
            shares[role] += message_tokens(dict(_texts(self._exchanges[index]))[role], self.encoding)
            if role == "assistant" and (index, "user") not in self._chosen:
                shares[role] += stand_in
        summary = self.summary
        heading = 0 if summary is None else message_tokens(SUMMARY_HEADING + summary.text, self.encoding)
        return shares["user"], shares["assistant"], heading

    def messages(self) -> Iterator[ContextMessage]:
        for index, exchange in enumerate(self._exchanges):
            for role, _ in _texts(exchange):
                yield ContextMessage(exchange, role, self._status(index, role))

    def _status(self, index: int, role: Role) -> Status:
        mark = _mark(self._exchanges[index], role)
        if mark == ContextMark.EXCLUDED:
            return "excluded"
        if (index, role) in self._chosen:
            return "pinned" if mark == ContextMark.PINNED else "in"
        summary = self.summary
        if summary is None:
            return "dropped"
        if index < self._offset:
            return "summarised" if summary.begin < 0 else "dropped"
        return "summarised" if summary.begin <= index - self._offset < summary.end else "dropped"

    def older_dropped(self) -> int:
        """How many of the turns that were not read are neither sent nor in the summary."""
        before = 0 if self.summary is None else min(self.summary.begin, 0)
        return max(self.history.older_turns + before - self._offset, 0)


def _texts(exchange: Exchange) -> list[tuple[Role, str]]:
    texts: list[tuple[Role, str]] = [("user", exchange.question)]
    if exchange.answer:
        texts.append(("assistant", exchange.answer))
    return texts


def _mark(exchange: Exchange, role: str) -> str:
    return exchange.question_mark if role == "user" else exchange.answer_mark
