"""Keeps the streaming benchmark alive: a few small streams through the real processes, judged, not timed."""

from __future__ import annotations

import pytest

from tests.bench import page
from tests.bench.script import Script, StampReader
from tests.bench.stream import parse, run


def test_it_reads_stamps_that_deltas_join_or_split() -> None:
    text = Script(7).chunk(1, 3, 500, 400) + Script(7).chunk(4, 1, 600, 400)
    for cut in range(len(text)):
        reader = StampReader()
        stamps = reader.feed(text[:cut]) + reader.feed(text[cut:])
        assert [stamp.number for stamp in stamps] == [1, 2, 3, 4]
        assert [stamp.sent_us for stamp in stamps] == [500, None, None, 600]
        assert [stamp.arrived_us for stamp in stamps] == [400, None, None, None]
        assert {stamp.stream for stamp in stamps} == {7}


@pytest.mark.long
@pytest.mark.story
def test_it_streams_stops_and_balances_the_books(monkeypatch: pytest.MonkeyPatch) -> None:
    # A Valkey of its own: the worker must see nobody else's tasks.
    monkeypatch.delenv("REDIS_URL", raising=False)
    small = ["--streams=3", "--tokens=40", "--rounds=1", "--stops=2", "--requests=2", "--idle-seconds=0"]
    bench = run(parse(small))
    assert [each.scenario for each in bench.figures if each.target == "product"] == [
        "openai steady",
        "openai burst",
        "openai beside requests",
        "gemini steady",
    ]
    for each in bench.figures:
        assert each.clean, (each, bench.notes)
    exact = [target for target in bench.targets if target.limit == 0]
    assert len(exact) >= 8
    assert all(target.passed for target in exact), ([target.line() for target in exact], bench.notes)


@pytest.mark.browser
@pytest.mark.long
@pytest.mark.story
def test_it_measures_the_page(monkeypatch: pytest.MonkeyPatch, chromium: str) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    bench = page.run(page.parse(["--only=word,conversation,page", "--samples=1", "--turns=60"]))
    assert len(bench.targets) >= 7
    assert all(target.value == target.value for target in bench.targets), "a figure was not measured"
    [weight] = [target for target in bench.targets if target.name == "first page: compressed"]
    assert weight.passed, weight.line()
