"""Forks web servers and workers that have loaded the libraries, and nothing yet of the product.

An order's ``environment`` is the whole one of the new process, which reads its settings from it. So what
reads any is loaded by the process itself: less than half of what a start costs. How: ``tests/forking.py``.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from django.conf import settings

from tests.coverage_gate import APPS
from tests.forking import serve

LOADED = (
    "aiohttp",
    "celery.apps.beat",
    "celery.backends.redis",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "channels.routing",
    "channels_redis.pubsub",
    "cryptography.x509",
    "csp.middleware",
    "django.contrib.admin.options",
    "django.contrib.auth.password_validation",
    "django.contrib.sessions.middleware",
    "django.contrib.staticfiles.finders",
    "django.core.handlers.asgi",
    "django.db.migrations.executor",
    "environ",
    "jsonschema",
    "jwt",
    "kombu.transport.redis",
    "markdown_it.main",
    "mdit_py_plugins.dollarmath",
    "nh3",
    "orjson",
    "pydantic.main",
    "redis.asyncio",
    "requests",
    "rest_framework.fields",
    "uvicorn.lifespan.on",
    "uvicorn.main",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvloop",
    "whitenoise.base",
)


def prepare(order: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["environment"])


def load() -> None:
    for module in LOADED:
        importlib.import_module(module)
    ours = {name for name in sys.modules if name.split(".")[0] in APPS}
    assert not ours, f"loaded before there is an environment: {ours}"
    assert "structlog" not in sys.modules, "the product loads it in a way of its own"
    assert not settings.configured


if __name__ == "__main__":
    load()
    serve(prepare)
