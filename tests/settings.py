"""Settings of the test suite: the real ones, with a file database and a fixed key.

Each pytest process (the only one, or each xdist worker) has a Valkey of its own, because
pub/sub channels are shared by all databases of one server. The address is chosen here, before
the settings are read; ``tests/conftest.py`` starts the server. Programs that a test starts
inherit the environment and with it the address.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from chatsite.valkey import LOOPBACK, find_free_port

PROCESS = os.environ.get("PYTEST_XDIST_WORKER", "main")
# What a developer has set for a real site must not change what the tests see.
FOREIGN = [
    "ALERT_EMAILS",
    "ALERT_WEBHOOK_URL",
    "ALLOWED_HOSTS",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "CORS_ALLOWED_ORIGINS",
    "CSRF_TRUSTED_ORIGINS",
    "DEBUG",
    "DEFAULT_MODEL",
    "DEFAULT_PLAN",
    "EMAIL_URL",
    "GEMINI_API_KEY",
    "GEMINI_BASE_URL",
    "GOOGLE_OAUTH_CLIENT_ID",
    "GOOGLE_OAUTH_CLIENT_SECRET",
    "HOST",
    "LOG_FORMAT",
    "METRICS_TOKEN",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "PORT",
    "PUBLIC_URL",
    "SIGNUP",
]

if os.environ.get("CHATSITE_TEST_PROCESS") != PROCESS:
    os.environ["CHATSITE_TEST_PROCESS"] = PROCESS
    os.environ["REDIS_URL"] = f"redis://{LOOPBACK}:{find_free_port()}/0"
    if os.environ.get("CHATSITE_LIVE") != "1":
        for name in FOREIGN:
            os.environ.pop(name, None)
            os.environ.pop(f"{name}_FILE", None)

os.environ.setdefault("CHATSITE_ENV_FILE", os.devnull)
os.environ.setdefault("SECRET_KEY", "tests-only")
os.environ.setdefault("CHATSITE_DATA_DIR", str(Path(tempfile.gettempdir()) / f"chatsite-tests-{os.getuid()}"))
os.environ.setdefault("DEMO_MODEL", "1")
# A further call after each first answer would stand in the way of tests that count calls and tokens.
os.environ.setdefault("TITLES", "0")
Path(os.environ["CHATSITE_DATA_DIR"]).mkdir(parents=True, exist_ok=True)

from chatsite.settings import *  # noqa: E402, F403
from chatsite.settings import DATA_DIR, DATABASES  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# The sites that stories start write the collected files anew; the tests in this process serve none.
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: several threads and processes must see the same rows.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / f"test-{os.getpid()}.sqlite3")}
