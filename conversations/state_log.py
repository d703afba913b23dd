"""The log of answers: one line per change of state, with model, attempt, code and time; never text."""

from __future__ import annotations

import logging
import re
import uuid

from conversations.attempts import Claim, Ended
from llm.errors import LLMError
from llm.messages import ChatRequest
from llm.profiles import Profile, read_api_key

logger = logging.getLogger("conversations.states")

DETAIL_LIMIT_CHARACTERS = 300
# So many letters and digits in a row that also stand in the request are no coincidence.
QUOTE_CHARACTERS = 12
SHORTEST_QUOTE_CHARACTERS = 4
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_NOT_WORDS = re.compile(r"[\W_]+")


def log_state(
    state: str,
    *,
    generation_id: uuid.UUID,
    turn_id: uuid.UUID | None = None,
    model: str = "",
    attempt: int | None = None,
    code: str = "",
    ms: int | None = None,
    wait_seconds: float | None = None,
) -> None:
    """``ms``: since the call began (streaming: to the first word). ``code``: why it waits or ended."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields = {
        "generation_id": str(generation_id),
        "turn_id": None if turn_id is None else str(turn_id),
        "state": state,
        "model": model,
        "attempt": attempt,
        "code": code,
        "ms": ms,
        "wait_seconds": None if wait_seconds is None else round(wait_seconds, 3),
    }
    given = {name: value for name, value in fields.items() if value is not None}
    logger.info("generation %s", state, extra=given)


def log_claim_state(
    state: str, claim: Claim, *, code: str = "", ms: int | None = None, wait_seconds: float | None = None
) -> None:
    log_state(
        state,
        generation_id=claim.generation_id,
        turn_id=claim.turn_id,
        model=claim.profile.model_id,
        attempt=claim.attempt,
        code=code,
        ms=ms,
        wait_seconds=wait_seconds,
    )


def log_end(generation_id: uuid.UUID, ended: Ended, *, attempt: int | None = None) -> None:
    event = ended.event
    log_state(
        event["type"].removeprefix("generation."),
        generation_id=generation_id,
        model=event["receipt"]["model"],
        attempt=attempt,
        code=event.get("error", {}).get("code", ""),
        ms=event["receipt"].get("duration_ms"),
    )


def log_provider_error(
    error: LLMError, *, profile: Profile, request: ChatRequest, attempt: int = 1, purpose: str = "answer"
) -> None:
    """What the provider said, for operators; withheld where it quotes the request."""
    if not error.provider_detail:
        return
    api_key = read_api_key(profile.provider.api_key_env)
    fields = {
        "model": profile.model_id,
        "purpose": purpose,
        "attempt": attempt,
        "code": error.code,
        "status": error.status,
        "detail": presentable(error.provider_detail, request, api_key=api_key),
    }
    logger.warning("provider error", extra=fields)


def presentable(detail: str, request: ChatRequest, *, api_key: str = "") -> str:
    """A provider's words without the key, or a note in their place where they quote the request."""
    if api_key:
        detail = detail.replace(api_key, "[key]")
    said = _words(_ESCAPE.sub(lambda match: chr(int(match[1], 16)), detail))
    for text in (request.system, *(message.text for message in request.messages)):
        asked = _words(text)
        if len(asked) <= QUOTE_CHARACTERS:
            quoted = len(asked) >= SHORTEST_QUOTE_CHARACTERS and asked in said
        else:
            pieces = (said[at : at + QUOTE_CHARACTERS] for at in range(len(said) - QUOTE_CHARACTERS + 1))
            quoted = any(piece in asked for piece in pieces)
        if quoted:
            return "[withheld: it quotes the request]"
    return detail[:DETAIL_LIMIT_CHARACTERS]


def _words(text: str) -> str:
    return _NOT_WORDS.sub("", text).casefold()
