from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from hypothesis import given
from hypothesis import strategies as st

from llm import tokens
from llm.estimate import InputEstimate
from llm.messages import ChatRequest, Message
from llm.tokens import TABLE_FILES, count_tokens, estimate_input_tokens


@pytest.mark.parametrize(("encoding", "cases"), [("cl100k_base", 64), ("o200k_base", 57)])
def test_it_counts_exactly_like_the_reference(encoding: str, cases: int, corpora: Path) -> None:
    text = (corpora / "tokens" / "gpt-tokenizer__TestPlans.txt").read_text(encoding="utf-8")
    plans = re.findall(r"EncodingName: (\w+)\nSample: (.*?)\nEncoded: \[(.*?)\]\n", text, re.DOTALL)
    checked = 0
    for name, sample, encoded in plans:
        if name == encoding:
            expected = [int(number) for number in encoded.split(",") if number.strip()]
            assert tokens.load(encoding).encode_ordinary(sample) == expected
            assert count_tokens(sample, encoding) == len(expected)
            checked += 1
    assert checked >= cases


def test_it_counts_special_tokens_as_text() -> None:
    assert count_tokens("<|endoftext|>") > 1


@pytest.mark.parametrize("text", [" " * 1_000_000, "a" * 1_000_000, "\n" * 1_000_000, "^" * 300_000])
def test_it_survives_pathological_text(text: str) -> None:
    assert 0 < count_tokens(text) <= len(text)


def test_it_survives_half_a_character() -> None:
    assert count_tokens("a\ud800b") > 0


def test_it_counts_the_overhead_of_messages() -> None:
    messages = (Message("user", "hello"), Message("assistant", "world"))
    request = ChatRequest("m", messages, 10)
    assert estimate_input_tokens(request) == 3 + (4 + 1) + (4 + 1)
    with_system = ChatRequest("m", messages, 10, system="hello world")
    assert estimate_input_tokens(with_system) == estimate_input_tokens(request) + 4 + 2


def test_it_counts_a_text_once() -> None:
    tokens._count_short.cache_clear()
    request = ChatRequest("m", (Message("user", "a long conversation"),), 10)
    estimate_input_tokens(request)
    estimate_input_tokens(request)
    assert tokens._count_short.cache_info().misses == 1


def test_it_rounds_estimates_up() -> None:
    assert [InputEstimate(115).upper(n) for n in (0, 1, 100, 101)] == [0, 2, 115, 117]
    assert [InputEstimate(115, 40).upper(n) for n in (0, 1, 100)] == [40, 42, 155]
    assert InputEstimate().upper(7) == 7


@given(room=st.integers(0, 100_000), percent=st.integers(100, 300), overhead=st.integers(0, 1000))
def test_what_fits_is_the_largest_count_whose_estimate_does(room: int, percent: int, overhead: int) -> None:
    estimate = InputEstimate(percent, overhead)
    fitting = estimate.fitting(room)
    assert fitting < 0 or estimate.upper(fitting) <= room
    assert estimate.upper(fitting + 1) > room


def test_it_estimates_what_openai_counted(corpora: Path) -> None:
    checked = 0
    for line in (corpora / "tokens" / "recorded_usage.jsonl").read_text(encoding="utf-8").splitlines():
        recorded = json.loads(line)
        if recorded["has_tools"] or recorded["has_schema"] or recorded["provider"] != "openai-chat":
            continue
        if recorded["host"] != "api.openai.com" or "search" in recorded["model"]:
            continue
        contents = [message.get("content") for message in recorded["messages"]]
        if not all(isinstance(content, str) for content in contents):
            continue
        request = ChatRequest("m", tuple(Message("user", content) for content in contents), 10)
        estimate = estimate_input_tokens(request)
        assert recorded["prompt_tokens"] <= estimate <= recorded["prompt_tokens"] + 1, recorded["source"]
        checked += 1
    assert checked >= 5


def test_it_unpacks_its_tables_without_a_network(tmp_path: Path) -> None:
    code = (
        "import django; django.setup(); from llm.tokens import count_tokens;"
        "print(count_tokens('hello world', 'o200k_base'), count_tokens('hello world', 'cl100k_base'))"
    )
    environment = {
        **os.environ,
        "CHATSITE_DATA_DIR": str(tmp_path),
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["2", "2"]
    assert {path.name for path in (tmp_path / "tiktoken").iterdir()} == set(TABLE_FILES.values())


def test_it_keeps_the_tables_it_has(tmp_path: Path) -> None:
    tokens._unpack_table("o200k_base", tmp_path)
    table = tmp_path / TABLE_FILES["o200k_base"]
    written = table.stat().st_mtime_ns
    tokens._unpack_table("o200k_base", tmp_path)
    assert table.stat().st_mtime_ns == written
    assert str(django_settings.TIKTOKEN_CACHE_DIR)


def test_it_tells_an_encoding_it_does_not_know() -> None:
    with pytest.raises(KeyError):
        count_tokens("hello", "nonsense")


def test_it_counts_a_long_text_once_and_keeps_no_copy_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "long text " * 1_000
    expected = count_tokens(text)
    monkeypatch.setattr(tokens, "_count", None)
    assert count_tokens(text) == expected
    assert all(len(digest) == 16 for _, digest in tokens._long_counts)


def test_it_forgets_the_oldest_long_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_long_counts", {})
    monkeypatch.setattr(tokens, "LONG_COUNTS", 2)
    for letter in "abcd":
        count_tokens(letter * 3_000)
    assert len(tokens._long_counts) == 2
