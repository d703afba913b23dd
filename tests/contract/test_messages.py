"""The frames and events that the browser stories have recorded, against the JSON Schema and the parser."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it ships no types

from conversations.frames import FRAME_TYPES, parse_frame
from conversations.message_schemas import message_schemas
from tests.contract.recording import faults, kept, shape
from tests.conversations.rest import Rest

# Programs send these; the page has no use for them.
NOT_FROM_THE_PAGE: set[str] = set()


@pytest.mark.parametrize("kind", ["frames", "events"])
def test_it_publishes_a_valid_schema(kind: str) -> None:
    Draft202012Validator.check_schema(message_schemas()[kind])


@pytest.mark.parametrize("frame", kept("frames"), ids=lambda frame: frame["type"])
def test_it_still_takes_every_frame_that_the_page_sends(frame: dict[str, Any]) -> None:
    assert faults("frames", [frame]) == []
    parsed = parse_frame(orjson.dumps(frame).decode()).model_dump(mode="json", exclude_unset=True)
    # Nothing that was sent is dropped on the way.
    assert parsed == frame


@pytest.mark.parametrize("event", kept("events"), ids=lambda event: event["type"])
def test_every_event_is_as_it_is_told(event: dict[str, Any]) -> None:
    assert faults("events", [event]) == []


def test_the_page_sends_every_kind_of_frame() -> None:
    assert {frame["type"] for frame in kept("frames")} >= set(FRAME_TYPES) - NOT_FROM_THE_PAGE


def test_every_kind_of_event_was_seen() -> None:
    mapping = message_schemas()["events"]["discriminator"]["mapping"]
    seen = {event["type"] for event in kept("events")}
    assert seen <= set(mapping)
    assert set(mapping) - seen <= {"error"}


def test_it_sees_a_message_that_is_not_as_told() -> None:
    """The check can fail."""
    for kind in ("frames", "events"):
        for message in kept(kind):
            broken = {name: value for name, value in message.items() if name != "type"}
            assert faults(kind, [broken]) != []
            wrong = copy.deepcopy(message)
            name = next((key for key in wrong if key.endswith("_id")), None)
            if name is not None:
                wrong[name] = 17
                assert faults(kind, [wrong]) != []
                assert shape(wrong) != shape(message)


@pytest.mark.django_db(transaction=True)
async def test_it_is_open_to_all(rest: Rest) -> None:
    published = (await Rest().get("schema/socket/")).json()
    assert set(published) == {"frames", "events"}
