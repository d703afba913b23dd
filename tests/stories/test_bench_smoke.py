"""Keeps the streaming benchmark alive: a few small streams through the real processes, judged, not timed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench import page
from tests.bench.page_tasks import Tasks, tasks_of
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


def traced(name: str, ts: int, dur: int, tdur: int, tid: int = 1) -> dict[str, Any]:
    return {"name": name, "ph": "X", "pid": 1, "tid": tid, "ts": ts, "dur": dur, "tdur": tdur, "args": {}}


def test_it_tells_a_task_that_took_long_from_one_that_was_held_up() -> None:
    named = {"name": "thread_name", "ph": "M", "pid": 1, "tid": 1, "args": {"name": "CrRendererMain"}}
    events = [
        traced("ThreadControllerImpl::RunTask", 0, 90_000, 80_000),
        traced("RunTask", 1, 89_999, 79_999),
        traced("TimerFire", 10, 80_000, 70_000),
        traced("FunctionCall", 11, 79_000, 69_000),
        traced("Layout", 20, 50_000, 40_000),
        traced("ThreadControllerImpl::RunTask", 100_000, 120_000, 20_000),
        traced("Paint", 100_001, 110_000, 15_000),
        traced("Paint", 100_002, 50_000, 10_000),
        # Another thread, and one that is not of the page.
        traced("ThreadControllerImpl::RunTask", 0, 900_000, 900_000, tid=2),
    ]
    found = Tasks(tasks_of([named, *events]))
    assert [(task.wall_ms, task.processor_ms) for task in found.all] == [(90, 80), (120, 20)]
    [own], [held_up] = found.over(50), found.late(50)
    assert own is found.longest() is found.all[0]
    assert own.parts_ms == {"script": 30, "layout": 40}
    assert held_up.parts_ms == {"paint": 15}
    assert own.line() == "80 of 90 ms (layout 40, script 30)"


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
