from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path

import pytest
from django.core.checks import CheckMessage
from django.core.management import call_command
from pytest_django import Settings

from llm import checks
from llm.models import ModelProfile


def ids(found: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in found]


@pytest.mark.parametrize("model_id", ["gemini", ":x", "gemini:", "demo:nonsense"])
def test_it_tells_a_default_model_that_is_no_id(model_id: str, settings: Settings) -> None:
    settings.DEFAULT_MODEL = model_id
    assert ids(checks.check_default_model_name()) == ["llm.E001"]


@pytest.mark.parametrize("model_id", ["", "gemini:any", "demo:friendly", "demo:1-2-3!429"])
def test_it_accepts_ids(model_id: str, settings: Settings) -> None:
    settings.DEFAULT_MODEL = model_id
    assert checks.check_default_model_name() == []


@pytest.mark.django_db
def test_it_tells_a_default_model_that_is_not_there(settings: Settings) -> None:
    settings.DEFAULT_MODEL = "gemini:never-heard-of"
    assert ids(checks.check_default_model_exists(databases=["default"])) == ["llm.E002"]
    assert checks.check_default_model_exists(databases=None) == []
    settings.DEFAULT_MODEL = ""
    assert checks.check_default_model_exists(databases=["default"]) == []


@pytest.mark.django_db
def test_it_tells_a_default_model_without_a_key(settings: Settings) -> None:
    settings.DEFAULT_MODEL = "gemini:gemini-2.5-flash"
    settings.GEMINI_API_KEY = ""
    assert ids(checks.check_default_model_exists(databases=["default"])) == ["llm.W003"]
    settings.GEMINI_API_KEY = "key"
    assert checks.check_default_model_exists(databases=["default"]) == []


@pytest.mark.django_db
def test_it_waits_for_the_first_migration(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEFAULT_MODEL = "gemini:never-heard-of"
    monkeypatch.setattr(ModelProfile._meta, "db_table", "not_there_yet")
    assert checks.check_default_model_exists(databases=["default"]) == []


def test_it_tells_missing_token_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert checks.check_token_tables() == []

    def files(package: str) -> Traversable:
        return tmp_path

    monkeypatch.setattr(checks, "files", files)
    assert ids(checks.check_token_tables()) == ["llm.E004"]


@pytest.mark.django_db
def test_it_finds_nothing_wrong_here() -> None:
    call_command("check", "llm", databases=["default"])
