from __future__ import annotations

import ast
import math
import os
import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from chatsite import env

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("chatsite", "monitoring", "conversations", "billing", "llm", "workspace")
READERS = re.compile(r'env_(?:str|bool|int|float|list|numbers)\(\s*"([A-Z][A-Z0-9_]+)"')
NUMBERS = re.compile(r'env_(?:bool|int|float)\(\s*"([A-Z][A-Z0-9_]+)",\s*([^,)]+)')


def sources() -> str:
    return "\n".join(
        path.read_text(encoding="utf-8") for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))
    )


def example() -> dict[str, str]:
    found = re.findall(
        r"^#? ?([A-Z][A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
    )
    return dict(found)


def test_every_variable_that_is_read_is_described() -> None:
    read = set(READERS.findall(sources()))
    assert len(read) > 60
    assert read - set(example()) == set()


def test_the_operators_guide_lists_every_variable() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = guide.partition("\n## Settings\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", table)) - {"NAME_FILE"}
    unread = {"PORT", "FORWARDED_ALLOW_IPS"}  # by the launcher and by uvicorn
    assert listed == set(READERS.findall(sources())) | unread


def test_the_example_shows_the_defaults() -> None:
    shown = example()
    for name, code in NUMBERS.findall(sources()):
        default = math.prod(float(ast.literal_eval(factor.strip())) for factor in code.split("*"))
        # What is off by default is shown as it would be set.
        assert float(shown[name]) == default or name == "PREPARED_STATEMENTS", name


def test_the_example_sets_nothing_by_itself() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_file_fills_what_the_environment_leaves_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_text("CHATSITE_TEST_ONE=file\nCHATSITE_TEST_TWO=file\n")
    monkeypatch.setenv("CHATSITE_ENV_FILE", str(tmp_path / "env"))
    monkeypatch.setenv("CHATSITE_TEST_ONE", "environment")
    # Set and removed so that monkeypatch takes away what the file brings.
    monkeypatch.setenv("CHATSITE_TEST_TWO", "")
    monkeypatch.delenv("CHATSITE_TEST_TWO")
    env.load_env_file()
    assert os.environ["CHATSITE_TEST_ONE"] == "environment"
    assert os.environ["CHATSITE_TEST_TWO"] == "file"


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("secret\n")
    monkeypatch.setenv("THE_KEY_FILE", str(tmp_path / "key"))
    assert env.env_str("THE_KEY") == "secret"
    monkeypatch.setenv("THE_KEY", "nearer")
    assert env.env_str("THE_KEY") == "nearer"


def test_a_missing_secret_file_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY_FILE", "/nonexistent/key")
    with pytest.raises(ImproperlyConfigured, match=r"THE_KEY_FILE: /nonexistent/key cannot be read"):
        env.env_str("THE_KEY")


@pytest.mark.parametrize(("word", "value"), [("1", True), ("Yes", True), ("off", False), ("", False)])
def test_it_reads_yes_and_no(word: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_FLAG", word)
    assert env.env_bool("THE_FLAG", not value) is value


def test_what_is_not_set_has_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", " ")
    assert env.env_bool("NOT_SET", True) is True
    assert env.env_int("NOT_SET", 3) == env.env_int("EMPTY", 3) == 3
    assert env.env_float("NOT_SET", 0.5) == env.env_float("EMPTY", 0.5) == 0.5
    assert env.env_list("NOT_SET", "a, b,,") == ["a", "b"]


@pytest.mark.parametrize("word", ["perhaps", "2"])
def test_a_bad_flag_is_named(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_FLAG", word)
    with pytest.raises(ImproperlyConfigured, match="THE_FLAG must be 1 or 0"):
        env.env_bool("THE_FLAG", False)


@pytest.mark.parametrize(
    ("word", "message"), [("x", "whole number"), ("1.5", "whole number"), ("0", "at least 1")]
)
def test_a_bad_number_is_named(word: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_NUMBER", word)
    with pytest.raises(ImproperlyConfigured, match=f"THE_NUMBER must be .*{message}"):
        env.env_int("THE_NUMBER", 1, minimum=1)


@pytest.mark.parametrize(
    ("word", "message"), [("x", "a number"), ("0", "at least 0.1"), ("nan", "at least 0.1")]
)
def test_a_bad_time_is_named(word: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TIME", word)
    with pytest.raises(ImproperlyConfigured, match=f"THE_TIME must be .*{message}"):
        env.env_float("THE_TIME", 1.0, minimum=0.1)
