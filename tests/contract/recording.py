"""What goes over the WebSocket in the browser stories, kept as examples: one for each shape.

A frame of a shape that is not kept fails its story: a page that begins to send something else is a change
of the contract. ``CHATSITE_RECORD_CONTRACT=1`` keeps what is new.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from conversations.message_schemas import message_schemas

Message = dict[str, Any]

FOLDER = Path(__file__).parent
LONGEST_TEXT_CHARACTERS = 160
RECORDS = os.environ.get("CHATSITE_RECORD_CONTRACT") == "1"


def shape(message: Any) -> Any:
    """The members and the kinds of their values; of what may be long or empty only that it is there."""
    if isinstance(message, dict):
        return {name: message[name] if name == "type" else shape(message[name]) for name in sorted(message)}
    if isinstance(message, list):
        return ["…"]
    return type(message).__name__


def kept(kind: str) -> list[Message]:
    """Examples of ``frames`` or ``events``."""
    path = FOLDER / f"{kind}.jsonl"
    if not path.exists():
        return []
    return [orjson.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def faults(kind: str, messages: Iterable[Message]) -> list[str]:
    """What in these is against the JSON Schema."""
    validator = Draft202012Validator(message_schemas()[kind])
    return [
        f"{message.get('type')}: {error.message[:300]}"
        for message in messages
        for error in validator.iter_errors(message)
    ]


def unknown(kind: str, messages: Iterable[Message]) -> list[Message]:
    """Those of a shape that is not kept, one of each; kept from now on if that is wished."""
    known = {orjson.dumps(shape(one)) for one in kept(kind)}
    new = {orjson.dumps(shape(one)): one for one in messages}
    found = [one for key, one in new.items() if key not in known]
    if RECORDS and found:
        with (FOLDER / f"{kind}.jsonl").open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.writelines(orjson.dumps(_shortened(one)).decode() + "\n" for one in found)
        return []
    return found


def _shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    return value[:LONGEST_TEXT_CHARACTERS] if isinstance(value, str) else value
