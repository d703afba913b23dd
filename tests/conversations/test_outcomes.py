"""The words of every error: told as documented, in the state, the status and with the options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conversations.api.problems import PROBLEMS
from conversations.api.sending import FAILED_CODES
from conversations.outcomes import ERRORS, describe_error
from llm import errors

API_GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = {row[0]: row[1:] for row in ROW.findall(API_GUIDE.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("code", ERRORS)
def test_it_tells_an_error_as_documented(code: str) -> None:
    status, said, options, broke_off = ROWS[code]
    told = describe_error(code, has_text=False)
    assert told["detail"] == said
    assert [option["action"] for option in told["options"]] == re.findall(r"`(\w+)`", options)
    assert PROBLEMS[FAILED_CODES.get(code, "model_unavailable")][0] == int(status)
    cut = describe_error(code, has_text=True)
    if broke_off != "–":
        assert cut["detail"] == broke_off
    assert cut["options"], "there is always something that helps"


def test_the_table_is_closed() -> None:
    assert set(ROWS) == set(ERRORS)


def test_every_error_of_a_provider_has_its_words() -> None:
    def below(error_class: type[errors.LLMError]) -> set[str]:
        codes = {error_class.code}
        return codes.union(*(below(one) for one in error_class.__subclasses__()))

    assert below(errors.LLMError) - {"test"} <= set(ERRORS)


def test_no_word_is_a_providers() -> None:
    for words in ERRORS.values():
        assert "Traceback" not in words.no_answer
        assert words.no_answer.endswith((".", "?"))
