from __future__ import annotations

import chatsite.lone_structlog  # noqa: F401 - before anything else loads structlog
from chatsite.celery import app as celery_app

__all__ = ["celery_app"]
