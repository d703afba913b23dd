"""The Celery application. Messages are hints only: the database holds what is due."""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging

from chatsite.logs import set_up_worker_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")

app = Celery("chatsite")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
setup_logging.connect(set_up_worker_logging)
