"""docs/api.md names every address with its methods, and no other; the schema describes them with examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([a-z{][^`]*)`(?:, `([^`]*)`)? \| (.+) \|$", re.MULTILINE)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What a schema cannot describe: itself, and the page on it.
BESIDE = {"schema/": {"GET"}, "docs/": {"GET"}, "schema/socket/": {"GET"}}


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    generator: Any = SchemaGenerator  # typed in part
    made: dict[str, Any] = orjson.loads(
        OpenApiJsonRenderer().render(generator().get_schema(request=None, public=True))
    )
    return made


def described() -> dict[str, set[str]]:
    table = GUIDE.partition("\n## Addresses\n")[2].partition("\n## ")[0]
    found: dict[str, set[str]] = {}
    for one, other, text in ROW.findall(table):
        for address in filter(None, (one, other)):
            found[address] = {method for method in METHODS if f"`{method}`" in text}
    return found


def test_the_guide_has_every_address(schema: dict[str, Any]) -> None:
    served = {
        re.sub(r"\{\w+\}", "{id}", path.removeprefix("/api/v1/")): {method.upper() for method in methods}
        for path, methods in schema["paths"].items()
    }
    assert described() == {**served, **BESIDE}


def test_every_operation_says_what_it_does(schema: dict[str, Any]) -> None:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation.get("description"), (method, path)
            assert operation["tags"], (method, path)
