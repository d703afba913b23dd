"""Typed readers of environment variables.

Every reader takes the variable's name and a default. A secret may also come from a
file whose path is in ``NAME_FILE``. A value that cannot be read raises
``ImproperlyConfigured`` and names the variable, so a bad setting stops the start.
"""

from __future__ import annotations

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}


def load_env_file() -> None:
    """Sets what the file ``.env`` says and the environment does not; CHATSITE_ENV_FILE names another."""
    path = Path(os.environ.get("CHATSITE_ENV_FILE") or BASE_DIR / ".env")
    if path.is_file():
        environ.Env.read_env(path)


def env_str(name: str, default: str = "") -> str:
    """The variable, or the content of the file that ``NAME_FILE`` points to."""
    path = os.environ.get(f"{name}_FILE")
    if path and name not in os.environ:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read ({error.strerror}).") from error
    return os.environ.get(name, default)


def env_bool(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    word = value.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")


def env_int(name: str, default: int, *, minimum: int | None = None) -> int:
    value = os.environ.get(name)
    if value is None or value.strip() == "":
        return default
    try:
        number = int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from error
    if minimum is not None and number < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {number}.")
    return number


def env_float(name: str, default: float, *, minimum: float | None = None) -> float:
    value = os.environ.get(name)
    if value is None or value.strip() == "":
        return default
    try:
        number = float(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}.") from error
    if minimum is not None and not number >= minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {value}.")
    return number


def env_numbers(name: str, default: str) -> dict[str, float]:
    """Comma-separated pairs ``word=number``."""
    pairs = {}
    for pair in env_list(name, default):
        word, _, number = pair.partition("=")
        try:
            pairs[word.strip()] = float(number)
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be pairs such as word=0.5, not {pair!r}.") from error
    return pairs


def env_list(name: str, default: str = "") -> list[str]:
    """Comma-separated words, blanks dropped."""
    return [word.strip() for word in env_str(name, default).split(",") if word.strip()]
