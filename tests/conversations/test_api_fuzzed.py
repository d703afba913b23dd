"""Whatever the schema allows, and some of what it forbids: never a 5xx of ours, and answers as declared."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import quote

import hypothesis
import orjson
import pytest
import schemathesis
from django.contrib.auth.models import User
from django.test import AsyncClient
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # it ships no types
from pytest_django import Settings
from schemathesis.generation import GenerationMode

from billing.budgets import set_budget
from billing.limit_requests import ask_for_more
from billing.own_limits import set_own_limit
from conversations.database import close_database_threads
from conversations.models import ApiKey, Conversation, Generation, State, Turn
from conversations.runtime import shut_down

# What each address does is measured where it is tested by itself.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.no_cover]

_Generator: Any = SchemaGenerator  # typed in part
SPEC: dict[str, Any] = orjson.loads(OpenApiJsonRenderer().render(_Generator().get_schema(None, public=True)))
SCHEMA: Any = schemathesis.openapi.from_dict(SPEC)
METHODS = ("get", "post", "put", "patch", "delete")
OPERATIONS = sorted((method, path) for path, methods in SPEC["paths"].items() for method in methods)
# A few in make test; with HYPOTHESIS_PROFILE=long some hundred.
EXAMPLES = max(hypothesis.settings().max_examples // 10, 1)
MODEL = "demo:0-3-0"
EVENTS = "text/event-stream"
T = TypeVar("T")


class Loop:
    """One event loop for all requests of a test: an answer that one of them starts ends in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        self.run(shut_down(seconds=10))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        close_database_threads()


@pytest.fixture
def loop(settings: Settings, fakes_forgotten: None) -> Iterator[Loop]:
    # Where a request names no model.
    settings.DEFAULT_MODEL = MODEL
    made = Loop()
    yield made
    made.close()


@pytest.fixture
def fakes_forgotten(forgetful_gate: None) -> None:
    """Breakers are closed."""


def ids_of(alice: User) -> dict[str, str]:
    """Ids of alice's own, made anew: the request before may have deleted them."""
    chat = Conversation.objects.create(owner=alice, title="Tides")
    turn = Turn.objects.create(conversation=chat, turn_id=uuid.uuid4(), text="Why are there two a day?")
    turn.chosen = Generation.objects.create(
        conversation=chat,
        turn=turn,
        model=MODEL,
        wanted_output_tokens=1,
        state=State.COMPLETED,
        text="The moon.",
    )
    turn.save()
    Conversation.objects.filter(pk=chat.pk).update(head_turn=turn)
    given = set_budget(scope="user", scope_id=alice.pk, unit="tokens", limit_units=10**9, period="month")
    wish = ask_for_more(user_id=alice.pk, budget_id=given.pk, wanted_units=2 * 10**9)
    own = set_own_limit(user_id=alice.pk, unit="tokens", period="month", limit_units=10**8)
    return {
        "conversation_id": str(chat.pk),
        "turn_id": str(turn.turn_id),
        "generation_id": str(turn.chosen.pk),
        "budget_id": str(own.pk),
        "request_id": str(wish.pk),
    }


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_it_answers_as_the_schema_says(method: str, path: str, alice: User, loop: Loop) -> None:
    secret = ApiKey.create(user=alice)[1]
    operation = SCHEMA[path][method.upper()]
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    # Not made smaller: each step would be a request of seconds, and what is found is found anew.
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, own=st.booleans(), answers=st.booleans(), events=st.booleans())
    def ask(case: Any, own: bool, answers: bool, events: bool) -> None:
        parameters = {**(case.path_parameters or {}), **(ids_of(alice) if own else {})}
        where = path
        for name, value in parameters.items():
            where = where.replace(f"{{{name}}}", quote(str(value), safe=""))
        if "{" in where:
            return
        body = case.body if isinstance(case.body, (dict, list, str, int, float, bool)) else None
        if answers and isinstance(body, dict) and "model" in body:
            body = {**body, "model": MODEL}
        query = {name: str(value) for name, value in (case.query or {}).items() if value is not None}
        accept = EVENTS if events else "*/*"
        response = loop.run(send(method, where, secret=secret, query=query, body=body, accept=accept))
        check(response, method, path)

    ask()


def test_it_asks_for_a_key_and_knows_its_methods(alice: User, loop: Loop) -> None:
    secret = ApiKey.create(user=alice)[1]
    ids = ids_of(alice)
    for path, declared in SPEC["paths"].items():
        where = path
        for name, value in ids.items():
            where = where.replace(f"{{{name}}}", value)
        for method in METHODS:
            if method not in declared:
                response = loop.run(send(method, where, secret=secret, body={}))
                assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed"), path
                allowed = {one.strip().lower() for one in response["Allow"].split(",")}
                assert allowed - {"head", "options"} == set(declared), path
            elif {} not in declared[method].get("security", [{}]):
                for wrong in ("", "cs_wrong", "a.b.c"):
                    response = loop.run(send(method, where, secret=wrong, body={}))
                    code = "invalid_key" if wrong else "not_authenticated"
                    assert (response.status_code, response.json()["code"]) == (401, code), (path, wrong)
                    check(response, method, path)


async def send(
    method: str,
    path: str,
    *,
    secret: str,
    query: dict[str, str] | None = None,
    body: Any = None,
    accept: str = "*/*",
) -> Any:
    """The answer, a stream of it read to its end."""
    client = AsyncClient(raise_request_exception=False)
    response: Any = await client.generic(
        method.upper(),
        path,
        b"" if body is None else json.dumps(body, default=str),
        content_type="application/json",
        query_params=query or {},
        headers={"Accept": accept, **({"Authorization": f"Bearer {secret}"} if secret else {})},
    )
    if response.streaming:
        async for _ in response.streaming_content:
            pass
    return response


def check(response: Any, method: str, path: str) -> None:
    status, kind = response.status_code, response.headers.get("Content-Type", "").partition(";")[0]
    what = (method, path, status, kind, b"" if response.streaming else response.content[:300])
    # 503 and 504 are refusals of the table; a 500 is a fault.
    assert status != 500, what
    if status == 404 and "404" not in SPEC["paths"][path][method]["responses"]:
        assert "{" in path, what  # a path that the fuzzer bent leads nowhere
        return
    declared = SPEC["paths"][path][method]["responses"]
    assert str(status) in declared, what
    content = declared[str(status)].get("content", {})
    assert kind in content if status != 204 else not response.content, what
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
