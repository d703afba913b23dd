"""Log lines: well formed whatever they hold, with their ids, and without values of exceptions."""

from __future__ import annotations

import json
import logging.config
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.test import AsyncClient
from structlog.contextvars import bound_contextvars

from chatsite.logs import logging_config

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ["uvicorn.error", "uvicorn.access", "celery.worker", "django.request", "django.server"]


def capture(style: str) -> tuple[logging.Logger, StringIO]:
    """A logger of its own whose lines are made as the site's are."""
    config = logging_config(style=style, level="INFO")
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    formatter = config["formatters"]["line"]
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.Logger("tests.lines")
    logger.addHandler(handler)
    return logger, stream


def test_a_json_line_has_its_ids_and_fields() -> None:
    logger, stream = capture("json")
    with bound_contextvars(request_id="r1", generation_id="g1"):
        logger.info("generation %s", "ended", extra={"code": "", "ms": 12})
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tests.lines",
        "event": "generation ended",
        "request_id": "r1",
        "generation_id": "g1",
        "ms": 12,
    }


def test_a_text_line_names_its_fields() -> None:
    logger, stream = capture("text")
    with bound_contextvars(request_id="r1"):
        logger.warning("swept", extra={"closed": 2})
    assert stream.getvalue().rstrip().endswith(" warning tests.lines swept closed=2 request_id=r1")


@pytest.mark.parametrize("style", ["json", "text"])
def test_nobody_forges_a_second_line(style: str) -> None:
    logger, stream = capture(style)
    logger.info("path %s", "/x\r\n2026 error forged\x1b[31m", extra={"why": "a\nb"})
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("style", ["json", "text"])
def test_an_exception_says_where_and_what_but_quotes_no_rows(style: str) -> None:
    logger, stream = capture(style)
    message = "null value in column\nDETAIL: Failing row contains (my secret question)"
    try:
        try:
            raise ValueError(message)
        except ValueError as error:
            raise RuntimeError("could not be stored") from error
    except RuntimeError:
        logger.exception("failed")
    written = stream.getvalue()
    assert "Traceback (most recent call last)" in written
    assert "RuntimeError: could not be stored" in written
    assert "null value in column" in written
    assert "test_logs.py" in written
    assert "my secret question" not in written


async def test_a_request_keeps_the_callers_id_and_replaces_a_bad_one() -> None:
    kept = await AsyncClient().get("/accounts/login/", headers={"X-Request-ID": "abc-1"})
    assert kept["X-Request-ID"] == "abc-1"
    replaced = await AsyncClient().get("/accounts/login/", headers={"X-Request-ID": "a b\tc"})
    assert len(replaced["X-Request-ID"]) == 36


def test_lines_of_libraries_go_the_same_way() -> None:
    """Also after they have configured themselves, as uvicorn does before it loads the application."""
    program = (
        "import logging, logging.config, uvicorn.config\n"
        "logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)\n"
        "import django; django.setup()\n"
        f"for name in {LIBRARIES}: logging.getLogger(name).error(name)\n"
    )
    environment = {**os.environ, "LOG_FORMAT": "json", "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == LIBRARIES


def test_an_unknown_format_stops_the_start() -> None:
    environment = {**os.environ, "LOG_FORMAT": "xml", "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
    done = subprocess.run(
        [sys.executable, "-c", "import django; django.setup()"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "LOG_FORMAT must be json or text" in done.stderr
