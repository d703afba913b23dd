"""The OpenAPI schema is complete, and what the door answers is what the schema says."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # it ships no types

from conversations.models import Conversation
from tests.conversations.rest import Rest

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    generator: Any = SchemaGenerator  # typed in part
    made: dict[str, Any] = orjson.loads(
        OpenApiJsonRenderer().render(generator().get_schema(request=None, public=True))
    )
    return made


def test_it_is_made_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))


def check(schema: dict[str, Any], response: Any, path: str, method: str) -> None:
    """The answer has exactly the declared members, with the declared types."""
    declared = schema["paths"][path][method]["responses"][str(response.status_code)]["content"]
    wanted = declared[response["Content-Type"].partition(";")[0]]["schema"]
    components = orjson.loads(
        orjson.dumps(schema["components"]["schemas"]).replace(b'"nullable":true', b'"x-null":true')
    )
    for component in components.values():
        component["additionalProperties"] = False
        for name, member in component.get("properties", {}).items():
            if member.pop("x-null", False):
                component["properties"][name] = {"anyOf": [member, {"type": "null"}]}
    Draft4Validator({**wanted, "components": {"schemas": components}}).validate(response.json())


async def test_it_describes_what_is_answered(
    conversation: Conversation, rest: Rest, schema: dict[str, Any]
) -> None:
    one = "/api/v1/conversations/{conversation_id}/"
    path = f"conversations/{conversation.pk}/"
    body = {"text": "Hello", "model": "demo:0-5-0"}
    check(schema, await rest.get(f"{path}status/"), f"{one}status/", "get")
    answer = await rest.post(f"{path}messages/", body)
    check(schema, answer, f"{one}messages/", "post")
    failed = await rest.post(f"{path}messages/", {**body, "model": "demo:0-5-0!401"})
    check(schema, failed, f"{one}messages/", "post")
    check(schema, await rest.post(f"{path}messages/", {}), f"{one}messages/", "post")
    check(schema, await rest.get(f"{path}messages/"), f"{one}messages/", "get")
    check(schema, await rest.get(f"{path}status/"), f"{one}status/", "get")
    check(schema, await rest.get(path), one, "get")
    check(schema, await rest.patch(path, {"title": "New"}), one, "patch")
    check(schema, await rest.get("conversations/"), "/api/v1/conversations/", "get")
    check(schema, await rest.post("conversations/", {}), "/api/v1/conversations/", "post")
    check(schema, await rest.get("models/"), "/api/v1/models/", "get")
    stopped = await rest.post(f"turns/{answer.json()['turn_id']}/stop/")
    check(schema, stopped, "/api/v1/turns/{turn_id}/stop/", "post")
    check(schema, await Rest().get("models/"), "/api/v1/models/", "get")


async def test_it_is_open_to_all_in_both_forms(rest: Rest) -> None:
    for who in (Rest(), Rest("cs_wrong")):
        yaml = await who.get("schema/")
        assert (yaml.status_code, yaml.content[:8]) == (200, b"openapi:")
    json = await Rest().client.get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"})
    assert json.json()["info"]["title"] == "Chatsite"


async def test_it_shows_a_page_that_takes_nothing_from_elsewhere(rest: Rest) -> None:
    page = (await Rest().get("docs/")).content.decode()
    assert "swagger-ui" in page
    for address in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert address.startswith(("/", "#")), address
    assert "<style" not in page
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)
    script = await Rest().client.get(re.findall(r'src="(/api/[^"]*)"', page)[0].replace("&amp;", "&"))
    assert script["Content-Type"].startswith("application/javascript")
    assert (
        b"/api/v1/schema/" in script.content or b"../schema" in script.content or b"schema" in script.content
    )
