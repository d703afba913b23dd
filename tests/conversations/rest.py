"""A program's end of the REST door."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from asgiref.testing import ApplicationCommunicator
from django.db import connection
from django.test import AsyncClient

from conversations import database
from conversations.database import in_database

PREFIX = "/api/v1/"
Communicator: Any = ApplicationCommunicator  # asgiref types it in part


class Rest:
    """Requests with one person's API key, below ``/api/v1/``; without a secret those of nobody."""

    def __init__(self, secret: str = "", client: AsyncClient | None = None) -> None:
        self.client = client or AsyncClient()
        self.headers = {"Authorization": f"Bearer {secret}"} if secret else {}

    async def get(self, path: str, **query: Any) -> Any:
        return await self.client.get(address(path), query, headers=self.headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return await self.send("POST", path, body, **headers)

    async def patch(self, path: str, body: Any) -> Any:
        return await self.send("PATCH", path, body)

    async def delete(self, path: str) -> Any:
        return await self.send("DELETE", path)

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        return await self.client.generic(
            method,
            address(path),
            b"" if body is None else orjson.dumps(body),
            content_type="application/json",
            headers={**self.headers, **{name.replace("_", "-"): text for name, text in headers.items()}},
        )

    async def events(self, path: str, body: Any, **headers: str) -> list[dict[str, Any]]:
        """The server-sent events of a send, each with its ``id`` where it has one."""
        response = await self.post(path, body, Accept="text/event-stream", **headers)
        assert response.status_code == 200, response.content
        return parse_events(b"".join([chunk async for chunk in response.streaming_content]))


def address(path: str) -> str:
    return path if path.startswith("/") else PREFIX + path


async def open_request(
    path: str, rest: Rest, body: dict[str, Any], *, chunked: bool = False, accept: str = "*/*"
) -> Any:
    """A request to the real ASGI application, sent and not waited for."""
    from chatsite.asgi import application

    data = orjson.dumps(body)
    length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(data))}
    headers = {**rest.headers, "Host": "localhost", "Content-Type": "application/json", "Accept": accept}
    headers.update(length)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": f"/api/v1/{path}",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    request = Communicator(application, scope)
    await request.send_input({"type": "http.request", "body": data})
    return request


def parse_events(raw: bytes) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for block in raw.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            data: dict[str, Any] = orjson.loads(fields["data"])
            assert fields["event"] == data["type"]
            events.append({**data, "id": fields["id"]} if "id" in fields else data)
    return events


async def count_queries(rest: Rest, path: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Queries of one request. All of them run in the database threads: for once there is one alone."""
    counted = 0

    def count(execute: Any, *call: Any) -> Any:
        nonlocal counted
        counted += 1
        return execute(*call)

    database.close_database_threads()
    with monkeypatch.context() as patch:
        patch.setattr(database, "POSTGRESQL_THREADS", 1)
        await in_database(lambda: connection.execute_wrappers.append(count))
        response = await rest.get(path)
        await in_database(lambda: connection.execute_wrappers.remove(count))
        database.close_database_threads()
    assert response.status_code == 200
    assert counted
    return counted
