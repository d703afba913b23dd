"""What is sent to a model: messages and the request around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One provider call.

    ``messages`` are oldest first and end with the user's, or with the assistant's
    when an answer is continued. ``max_output_tokens`` is always sent as the cap.
    """

    model: str  # the provider's own name, without the "provider:" prefix
    messages: tuple[Message, ...]
    max_output_tokens: int
    system: str = ""
    temperature: float | None = None  # None: not sent, the provider's default holds
    attempt: int = 1  # 1, 2, ...; the demo model's faults depend on it
    think_less: bool = False  # a thinking model is asked for little of it, so that the cap leaves room

    def __post_init__(self) -> None:
        if self.max_output_tokens < 1:
            raise ValueError("max_output_tokens must be at least 1")
        if not self.messages:
            raise ValueError("a request needs at least one message")
