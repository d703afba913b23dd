"""Log lines: one JSON object each, or plain text, with the ids of the request and the answer.

Ids travel in context variables (``structlog.contextvars``): whoever starts a request, a socket or an
answer binds them, and every line below has them. Lines never hold the text of messages: of exceptions
only the first line is kept, because databases and parsers quote values in the lines after it.
"""

from __future__ import annotations

import logging.config
import sys
import traceback
from typing import Any

import orjson
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

MESSAGE_LIMIT_CHARACTERS = 200
CHAIN_LIMIT = 5
QUOTING = ("django.db.backends", "websockets", "aiohttp", "httpcore2", "markdown_it", "asyncio", "channels")
# Shown first, in this order; everything else follows by name.
FIRST = ("timestamp", "level", "logger", "event")


def logging_config(*, style: str, level: str) -> dict[str, Any]:
    """The dictionary for ``logging.config``: every logger of the process ends in one handler on stderr."""
    render = render_json if style == "json" else render_text
    quiet = {"level": "WARNING", "handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": PROCESSORS,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            }
        },
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            # They bring handlers of their own, whose lines would have no ids.
            "django": {"handlers": [], "propagate": True},
            "uvicorn": quiet,
            "uvicorn.error": {"handlers": [], "propagate": True},
            "uvicorn.access": quiet,
            # A line per task received and done, every few seconds.
            "celery": quiet,
            "django.server": {"handlers": [], "propagate": True},
            # At DEBUG these quote rows, frames or bodies.
            **{name: {"level": "INFO"} for name in QUOTING},
            # It logs "AFC is enabled" on each call.
            "google_genai.models": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
        },
    }


def render_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return orjson.dumps(_ordered(event), default=str).decode()


def render_text(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Words a person can read: time, level, logger, event, then name=value."""
    values = _ordered(event)
    trace = values.pop("exception", "")
    head = " ".join(_plain(values.pop(name, "")) for name in FIRST)
    line = " ".join([head, *(f"{name}={_plain(value)}" for name, value in values.items())])
    return f"{line}\n{trace}" if trace else line


def _ordered(event: EventDict) -> dict[str, Any]:
    first = {name: event[name] for name in FIRST if name in event}
    rest = sorted(name for name in event if name not in first and event[name] not in (None, ""))
    return first | {name: event[name] for name in rest}


def _plain(value: object) -> str:
    """On one line, whatever it holds: nobody forges a second line."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def describe_exception(exc_info: ExcInfo | None) -> str:
    """Where it was raised and what it was, without values: the first line of each message of the chain."""
    error = exc_info[1] if exc_info else None
    parts: list[str] = []
    while error is not None and len(parts) < CHAIN_LIMIT:
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        message = (str(error).splitlines() or [""])[0][:MESSAGE_LIMIT_CHARACTERS]
        frames = "".join(traceback.format_tb(error.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{kind}: {message}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhich came from\n".join(parts)


def format_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    elif isinstance(exc_info, BaseException):
        exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
    if exc_info:
        event["exception"] = describe_exception(exc_info)
    return event


PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    format_exception,
]


def set_up_worker_logging(**_: Any) -> None:
    """Celery would bring its own lines; this process's logging is Django's."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
    logging.captureWarnings(True)
