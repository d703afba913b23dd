"""The Celery application. Messages are hints only: the database holds what is due."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, setup_logging, worker_init, worker_ready
from celery.worker import state

from chatsite.logs import set_up_worker_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
# A worker would load all pages to run Django's checks, and tell nobody what they found.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

app = Celery("chatsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
setup_logging.connect(set_up_worker_logging)

WATCH_SECONDS = 0.5
_worker_pid = 0


@worker_init.connect  # type: ignore[untyped-decorator]  # celery ships no types
def note_worker(**_: Any) -> None:
    global _worker_pid
    _worker_pid = os.getpid()


@beat_embedded_init.connect  # type: ignore[untyped-decorator]  # celery ships no types
def follow_worker(**_: Any) -> None:
    """Beat is a child of the worker: ends it when the worker was killed and could not."""
    # A worker that is dead by now is nobody's parent any more; where beat is no fork, it is not noted.
    worker = _worker_pid or os.getppid()
    threading.Thread(target=_end_without, args=(worker,), name="worker watch", daemon=True).start()


def _end_without(worker: int) -> None:
    while os.getppid() == worker:  # the kernel announces a parent's end to nobody
        time.sleep(WATCH_SECONDS)
    os._exit(1)


@worker_ready.connect  # type: ignore[untyped-decorator]  # celery ships no types
def follow_beat(sender: Any, **_: Any) -> None:
    """Ends the worker when its beat was killed: without one nothing that is due would be done, and nobody
    would notice. Who started the worker starts both again.
    """
    beat = getattr(sender.controller, "beat", None)
    if beat is not None:
        threading.Thread(target=_end_after, args=(beat,), name="beat watch", daemon=True).start()


def _end_after(beat: Any) -> None:
    while beat.is_alive():
        time.sleep(WATCH_SECONDS)
    if state.should_stop is None:  # else the worker has ended it
        os.kill(os.getpid(), signal.SIGTERM)
