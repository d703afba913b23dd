"""Settings. One file, no branch for production: the environment decides.

Every variable is described in ``.env.example``.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from celery.schedules import crontab
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key
from redis.backoff import NoBackoff
from redis.retry import Retry

from chatsite.data_folder import REDIS_URL_FILE, SECRET_KEY_FILE, read_private
from chatsite.env import BASE_DIR, env_bool, env_float, env_int, env_list, env_numbers, env_str, load_env_file
from chatsite.logs import logging_config

load_env_file()
DATA_DIR = Path(env_str("CHATSITE_DATA_DIR", str(BASE_DIR / "data")))
# Beat and the tokenizer's tables write here, wherever they run. On a read-only disk nothing needs it.
with contextlib.suppress(OSError):
    DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)

# --- Core -----------------------------------------------------------------
DEBUG = env_bool("DEBUG", False)
# The data folder has the key that `make run` made, for commands that run beside it.
SECRET_KEY = env_str("SECRET_KEY") or read_private(DATA_DIR / SECRET_KEY_FILE)
if not SECRET_KEY and DEBUG:
    SECRET_KEY = get_random_secret_key()
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. `make run` makes one; a bare start must bring its own."
    )

PUBLIC_URL = env_str("PUBLIC_URL").rstrip("/")
_public = urlsplit(PUBLIC_URL)
HTTPS = _public.scheme == "https"
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
if _public.hostname and _public.hostname not in ALLOWED_HOSTS:
    ALLOWED_HOSTS.append(_public.hostname)
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", PUBLIC_URL)

INSTALLED_APPS = [
    # The development server's: a site under uvicorn need not load it at each start.
    *(["daphne"] if DEBUG or "runserver" in sys.argv else []),
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "llm",
    "billing",
    "workspace",
    "conversations",
    "monitoring",
    "chatsite",
]

MIDDLEWARE = [
    "chatsite.health.HealthMiddleware",
    "monitoring.http_counts.RequestCountMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "chatsite.static_middleware.StaticFilesMiddleware",
    "chatsite.middleware.RequestIdMiddleware",
    "django.middleware.common.CommonMiddleware",
    # What follows is for pages.
    "chatsite.middleware.ProgramMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "chatsite.middleware.MethodPageMiddleware",
]

ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "conversations.pages.site_context",
            ],
        },
    },
]

# --- Database -------------------------------------------------------------
DATABASE_URL = env_str("DATABASE_URL")
_database: dict[str, Any]
if DATABASE_URL:
    _database = dict(environ.Env.db_url_config(DATABASE_URL))
else:
    _database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(DATA_DIR / "chatsite.sqlite3")}
if _database["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a transaction that reads and then writes would fail with SQLITE_BUSY without waiting.
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32000;"
        " PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=1073741824;"
        # At 25 answers a second the default of 1,000 pages copied the same pages back twice a second.
        " PRAGMA wal_autocheckpoint=4000;",
    }
else:
    # A server that is gone without a word, as when its host dies, is noticed within half a minute: the
    # operating system would wait for hours, and so would every database thread.
    _database["OPTIONS"] = {
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 25_000,  # ms
    } | _database.get("OPTIONS", {})
# Off where a pooler hands each transaction another connection to PostgreSQL.
PREPARED_STATEMENTS = env_bool("PREPARED_STATEMENTS", True)
# Under ASGI each request has a thread of its own: a connection that outlives it would leak.
_database["CONN_MAX_AGE"] = 0
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis protocol: channel layer, stream log, Celery ----------------------
REDIS_URL = env_str("REDIS_URL") or read_private(DATA_DIR / REDIS_URL_FILE) or "redis://127.0.0.1:6379/0"
CHANNEL_LAYERS = {
    "default": {
        # Control events only. Tokens travel by the live streams and the stream log.
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": None}]},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        # Without them a server that accepts and does not answer would hold whoever asks it for ever.
        "OPTIONS": {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "retry": Retry(NoBackoff(), 0)},
    }
}

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A hint that the broker does not take in this time is given up: the sweeper tells again.
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    # Nor are copies kept in the broker of what a worker has in hand: putting them back over a connection
    # that is lost raises what Celery does not expect, and ends the worker.
    "ack_emulation": False,
}
CELERY_TASK_IGNORE_RESULT = True
# Early ack: a killed worker's work comes back by the lease in the database, not by the broker.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = env_int("WORKER_THREADS", 32, minimum=1)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_ROUTES = {
    "conversations.tasks.sweep": {"queue": "sweep"},
    "conversations.tasks.learn_estimates": {"queue": "sweep"},
    "conversations.tasks.roll_up_calls": {"queue": "sweep"},
    "monitoring.tasks.*": {"queue": "sweep"},
}
SWEEP_INTERVAL_SECONDS = env_float("SWEEP_INTERVAL_SECONDS", 5.0, minimum=0.1)
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "conversations.tasks.sweep",
        "schedule": SWEEP_INTERVAL_SECONDS,
        # Not so soon that a worker under load would come too late for each of them.
        "options": {"expires": max(SWEEP_INTERVAL_SECONDS * 2, 30.0)},
    },
    "learn-estimates": {"task": "conversations.tasks.learn_estimates", "schedule": 600.0},
    "roll-up-calls": {
        "task": "conversations.tasks.roll_up_calls",
        "schedule": 60.0,
        "options": {"expires": 120.0},
    },
}
# What operators are told of; the web processes watch over the worker itself.
ALERT_INTERVAL_SECONDS = env_float("ALERT_INTERVAL_SECONDS", 30.0, minimum=0.1)
CELERY_BEAT_SCHEDULE |= {
    "beat-pulse": {
        "task": "conversations.tasks.beat_pulse",
        "schedule": ALERT_INTERVAL_SECONDS,
        "options": {"expires": ALERT_INTERVAL_SECONDS * 2},
    },
    "watch": {
        "task": "monitoring.tasks.watch",
        "schedule": ALERT_INTERVAL_SECONDS,
        "options": {"expires": ALERT_INTERVAL_SECONDS * 2},
    },
    "check-touched": {
        "task": "monitoring.tasks.check_touched",
        "schedule": 60.0,
        "options": {"expires": 120.0},
    },
    "check-books": {"task": "monitoring.tasks.check_books", "schedule": crontab(hour="3", minute="17")},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule")

# --- People -----------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["conversations.sign_in.LimitedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# How long a link for a new password works.
PASSWORD_RESET_TIMEOUT = 86_400
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
# "open", "closed", or "" = open where the server can only be reached from this machine.
SIGNUP = env_str("SIGNUP")
if SIGNUP not in ("", "open", "closed"):
    raise ImproperlyConfigured(f"SIGNUP must be open or closed, not {SIGNUP!r}.")
HOST = env_str("HOST", "127.0.0.1")
SIGNUP_OPEN = SIGNUP == "open" or (
    SIGNUP == "" and not PUBLIC_URL and HOST in ("127.0.0.1", "localhost", "::1")
)
DEFAULT_PLAN = env_str("DEFAULT_PLAN", "pro")

# --- Language and time ------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
USE_THOUSAND_SEPARATOR = False
FORMAT_MODULE_PATH = ["chatsite.formats"]

# --- Static files -----------------------------------------------------------
STATIC_URL = "static/"
STATICFILES_DIRS = [
    folder for folder in (BASE_DIR / "static", BASE_DIR / "build" / "bundle") if folder.is_dir()
]
STATIC_ROOT = BASE_DIR / "build" / "static"
# Names with a hash in them are kept for ever: Django's, and those that esbuild gives to its chunks.
WHITENOISE_IMMUTABLE_FILE_TEST = r"(\.[0-9a-f]{12}\.|-[0-9A-Z]{8}\.js$)"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "chatsite.static_storage.StaticStorage"},
}

# --- Security ---------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "font-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

# --- REST -------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "conversations.api.authentication.AccessTokenAuthentication",
        "conversations.api.authentication.ApiKeyAuthentication",
        "conversations.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "conversations.api.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
# JWTs: what a program gets for a name and a password, and for how long.
ACCESS_TOKEN_SECONDS = env_float("ACCESS_TOKEN_SECONDS", 600.0, minimum=1)
REFRESH_TOKEN_SECONDS = env_float("REFRESH_TOKEN_SECONDS", 14 * 86_400.0, minimum=1)
SPECTACULAR_SETTINGS = {
    "TITLE": "Chatsite",
    "DESCRIPTION": "Self-hosted AI chat in which every token is accounted for.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # The scripts and styles of the docs page come from this server.
    "ENUM_NAME_OVERRIDES": {
        "ContextPolicyEnum": "conversations.models.states.ContextPolicy",
        "LimitRequestStateEnum": "billing.models.limit_request.RequestState",
        "StateEnum": "conversations.api.answer_serializers.ANSWER_STATES",
        "SummaryStateEnum": "conversations.models.summary.Summary.State",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": False, "validatorUrl": None},
}

# --- Conversations ----------------------------------------------------------
TEMPORARY_CHAT_SECONDS = env_float("TEMPORARY_CHAT_SECONDS", 900.0, minimum=1)
MESSAGE_LIMIT_CHARACTERS = env_int("MESSAGE_LIMIT_CHARACTERS", 4000, minimum=1)
# Whether a model names new conversations, and which one; empty: the one that answered.
TITLES = env_bool("TITLES", True)
TITLE_MODEL = env_str("TITLE_MODEL", "")
# A summary of the older messages is offered when so much of them is sent in full.
SUMMARY_OFFER_EXCHANGES = env_int("SUMMARY_OFFER_EXCHANGES", 20, minimum=1)
SUMMARY_OFFER_TOKENS = env_int("SUMMARY_OFFER_TOKENS", 3000, minimum=1)
FIRST_TOKEN_TIMEOUT_SECONDS = env_float("FIRST_TOKEN_TIMEOUT_SECONDS", 30.0, minimum=0.1)
STALL_TIMEOUT_SECONDS = env_float("STALL_TIMEOUT_SECONDS", 30.0, minimum=0.1)
GENERATION_TIMEOUT_SECONDS = env_float("GENERATION_TIMEOUT_SECONDS", 600.0, minimum=1)
LEASE_SECONDS = env_float("LEASE_SECONDS", 30.0, minimum=1)
MAX_RETRIES = env_int("MAX_RETRIES", 5, minimum=0)
RETRY_PATIENCE_SECONDS = env_float("RETRY_PATIENCE_SECONDS", 60.0, minimum=0)
DRAIN_SECONDS = env_float("DRAIN_SECONDS", 30.0, minimum=0)
SEND_DEADLINE_SECONDS = env_float("SEND_DEADLINE_SECONDS", 60.0, minimum=1)

# --- Fallbacks: what follows when a model cannot answer (docs/reliability.md) ---
# In this order, as far as they are listed; the last resort is always a sentence that says so.
FALLBACKS = env_list("FALLBACKS", "model,cached,queue")
if unknown := sorted(set(FALLBACKS) - {"model", "cached", "queue", "none"}):
    raise ImproperlyConfigured(f"FALLBACKS takes model, cached, queue or none, not {', '.join(unknown)}.")
FALLBACK_MODELS = env_list("FALLBACK_MODELS")
# A model may stand in by itself where it costs at most so much of what was shown to the person.
FALLBACK_COST_PERCENT = env_int("FALLBACK_COST_PERCENT", 100, minimum=0)
CACHED_ANSWER_SECONDS = env_float("CACHED_ANSWER_SECONDS", 7 * 86_400.0, minimum=0)
OUTAGE_QUEUE_SECONDS = env_float("OUTAGE_QUEUE_SECONDS", 3600.0, minimum=0)

# --- Models -----------------------------------------------------------------
DEFAULT_MODEL = env_str("DEFAULT_MODEL")
GEMINI_API_KEY = env_str("GEMINI_API_KEY")
GEMINI_BASE_URL = env_str("GEMINI_BASE_URL")
OPENAI_API_KEY = env_str("OPENAI_API_KEY")
OPENAI_BASE_URL = env_str("OPENAI_BASE_URL")
ANTHROPIC_API_KEY = env_str("ANTHROPIC_API_KEY")
ANTHROPIC_BASE_URL = env_str("ANTHROPIC_BASE_URL")
DEMO_MODEL = env_bool("DEMO_MODEL", False)
# Hosts of providers that an admin may add with plain http or a private address.
PROVIDER_HOSTS = env_list("PROVIDER_HOSTS")
TIKTOKEN_CACHE_DIR = DATA_DIR / "tiktoken"

# --- Operators ----------------------------------------------------------------
CALL_RECORD_DAYS = env_int("CALL_RECORD_DAYS", 30, minimum=2)
# Rates are measured over the window and say nothing below so many calls.
ALERT_WINDOW_SECONDS = env_float("ALERT_WINDOW_SECONDS", 900.0, minimum=60)
ALERT_MIN_CALLS = env_int("ALERT_MIN_CALLS", 20, minimum=1)
ALERT_ERROR_PERCENT = env_float("ALERT_ERROR_PERCENT", 1.0, minimum=0)
ALERT_CODE_PERCENTS = env_numbers(
    "ALERT_CODE_PERCENTS",
    "bad_request=0.5,empty_answer=0.5,truncated=0.5,provider_timed_out=1,first_token_timeout=1,"
    "connection_failed=2,provider_error=2",
)
ALERT_FIRST_TOKEN_P95_SECONDS = env_float("ALERT_FIRST_TOKEN_P95_SECONDS", 2.0, minimum=0)
ALERT_RATE_LIMITS_PER_HOUR = env_int("ALERT_RATE_LIMITS_PER_HOUR", 2, minimum=0)
ALERT_BUDGET_PERCENTS = sorted(int(word) for word in env_list("ALERT_BUDGET_PERCENTS", "90,100"))
ALERT_SLACK_PERCENT = env_float("ALERT_SLACK_PERCENT", 0.5, minimum=0)
ALERT_SILENCE_SECONDS = env_float("ALERT_SILENCE_SECONDS", 90.0, minimum=1)
# What is over must have been over for so long before operators hear of it.
ALERT_RECOVERY_SECONDS = env_float("ALERT_RECOVERY_SECONDS", 300.0, minimum=0)
METRICS_TOKEN = env_str("METRICS_TOKEN")
ALERT_EMAILS = env_list("ALERT_EMAILS")
ALERT_WEBHOOK_URL = env_str("ALERT_WEBHOOK_URL")
# Hosts that the webhook may reach by plain http or at a private address.
ALERT_WEBHOOK_HOSTS = env_list("ALERT_WEBHOOK_HOSTS")
EMAIL_URL = env_str("EMAIL_URL")
# Without one nothing tries to reach a mail server on this machine: what is sent all the same is printed.
vars().update(environ.Env.email_url_config(EMAIL_URL or "consolemail://"))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env_str("FROM_EMAIL", f"chatsite@{_public.hostname or 'localhost'}")
OBJECTIVE_AVAILABILITY_PERCENT = env_float("OBJECTIVE_AVAILABILITY_PERCENT", 99.0, minimum=0)
OBJECTIVE_FINAL_FAILURE_PERCENT = env_float("OBJECTIVE_FINAL_FAILURE_PERCENT", 0.1, minimum=0)
OBJECTIVE_ANSWER_P95_SECONDS = env_float("OBJECTIVE_ANSWER_P95_SECONDS", 10.0, minimum=0)

# --- Logs -------------------------------------------------------------------
LOG_FORMAT = env_str("LOG_FORMAT", "text")
if LOG_FORMAT not in ("json", "text"):
    raise ImproperlyConfigured(f"LOG_FORMAT must be json or text, not {LOG_FORMAT!r}.")
LOGGING = logging_config(style=LOG_FORMAT, level=env_str("LOG_LEVEL", "INFO").upper())
