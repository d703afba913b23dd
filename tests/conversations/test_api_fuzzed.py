"""Whatever the schema allows, and some of what it forbids: never a 5xx of ours, and answers as declared."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import schemathesis
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import AsyncClient
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # it ships no types
from schemathesis.generation import GenerationMode

from conversations.database import close_database_threads
from conversations.models import ApiKey, Conversation, Generation, State, Turn

pytestmark = pytest.mark.django_db(transaction=True)

_Generator: Any = SchemaGenerator  # typed in part
SPEC: dict[str, Any] = orjson.loads(OpenApiJsonRenderer().render(_Generator().get_schema(None, public=True)))
SCHEMA: Any = schemathesis.openapi.from_dict(SPEC)
# An answer that a POST starts would outlive the event loop of its example.
OPERATIONS = sorted(
    (method.upper(), path)
    for path, methods in SPEC["paths"].items()
    for method in methods
    if method in ("get", "patch", "put", "delete")
)
# Sent to a wrong method, or too early: the middleware's answers, declared nowhere.
UNDECLARED = {405, 413, 415}


@pytest.fixture
def ids(alice: User) -> dict[str, str]:
    """Ids of alice's own for half of the addresses."""
    chat = Conversation.objects.create(owner=alice, title="Tides")
    turn = Turn.objects.create(conversation=chat, turn_id=uuid.uuid4(), text="Why are there two a day?")
    turn.chosen = Generation.objects.create(
        conversation=chat,
        turn=turn,
        model="demo:0-1-0",
        wanted_output_tokens=1,
        state=State.COMPLETED,
        text="The moon.",
    )
    turn.save()
    Conversation.objects.filter(pk=chat.pk).update(head_turn=turn)
    return {
        "conversation_id": str(chat.pk),
        "turn_id": str(turn.turn_id),
        "generation_id": str(turn.chosen.pk),
    }


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_it_answers_as_the_schema_says(method: str, path: str, ids: dict[str, str], alice: User) -> None:
    secret = ApiKey.create(user=alice)[1]
    operation = SCHEMA[path][method]
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(max_examples=8, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases, own=st.booleans())
    def ask(case: Any, own: bool) -> None:
        parameters = {**(case.path_parameters or {}), **(ids if own else {})}
        where = path
        for name, value in parameters.items():
            where = where.replace(f"{{{name}}}", quote(str(value), safe=""))
        if "{" in where:
            return
        body = case.body if isinstance(case.body, (dict, list, str, int, float, bool)) else None
        response = async_to_sync(send)(secret, method, where, dict(case.query or {}), body)
        check(response, method, path)

    try:
        ask()
    finally:
        close_database_threads()


async def send(secret: str, method: str, path: str, query: dict[str, Any], body: Any) -> Any:
    client = AsyncClient(raise_request_exception=False)
    return await client.generic(
        method,
        path,
        b"" if body is None else orjson.dumps(body, default=str),
        content_type="application/json",
        query_params={name: str(value) for name, value in query.items() if value is not None},
        headers={"Authorization": f"Bearer {secret}"},
    )


def check(response: Any, method: str, path: str) -> None:
    status = response.status_code
    # 503 and 504 are refusals of the table; a 500 is a fault.
    assert status != 500, response.content
    declared = SPEC["paths"][path][method.lower()]["responses"]
    # A path that the fuzzer bent leads elsewhere, to a problem that each address may give.
    if status in UNDECLARED or status == 404:
        return
    assert str(status) in declared, (method, path, status, response.content[:300])
    content = declared[str(status)].get("content", {})
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    if kind in ("application/json", "application/problem+json"):
        Draft4Validator({**content[kind]["schema"], "components": COMPONENTS}).validate(response.json())


def _components() -> dict[str, Any]:
    """With OpenAPI's ``nullable`` as JSON Schema says it."""
    found = orjson.loads(orjson.dumps(SPEC["components"]))
    for component in found["schemas"].values():
        for name, member in component.get("properties", {}).items():
            if isinstance(member, dict) and member.pop("nullable", False):
                component["properties"][name] = {"anyOf": [member, {"type": "null"}]}
    return dict(found)


COMPONENTS = _components()
