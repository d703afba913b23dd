"""What the page's thread did, task by task, from Chromium's own trace: processor time beside wall time.

A task of 90 ms by the clock that had the processor for 20 was held up by other programs; one that had it for
90 is the page's doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from tests.bench.page_browser import Reader

CATEGORIES = ["toplevel", "devtools.timeline"]
# By the category, and by the browser's version.
TASK_NAMES = {"RunTask", "ThreadControllerImpl::RunTask"}
PARTS = {
    "EvaluateScript": "script",
    "FunctionCall": "script",
    "FireAnimationFrame": "script",
    "TimerFire": "script",
    "RunMicrotasks": "script",
    "ParseHTML": "HTML",
    "MajorGC": "garbage",
    "MinorGC": "garbage",
    "UpdateLayoutTree": "style",
    "Layout": "layout",
    "HitTest": "hit test",
    "PrePaint": "paint",
    "Paint": "paint",
    "Layerize": "paint",
    "Commit": "paint",
}


@dataclass(frozen=True, slots=True)
class Task:
    """Of the page's thread; ``parts_ms`` is processor time by its use, each without what it calls."""

    at_seconds: float
    wall_ms: float
    processor_ms: float
    parts_ms: dict[str, float]

    def line(self) -> str:
        parts = sorted(self.parts_ms.items(), key=lambda part: -part[1])
        named = ", ".join(f"{name} {ms:.0f}" for name, ms in parts if ms >= 1)
        return f"{self.processor_ms:.0f} of {self.wall_ms:.0f} ms" + (f" ({named})" if named else "")


@dataclass(slots=True)
class Tasks:
    """Filled when the tracing ends."""

    all: list[Task] = field(default_factory=list)

    def over(self, ms: float) -> list[Task]:
        """By the processor's time."""
        return [task for task in self.all if task.processor_ms > ms]

    def late(self, ms: float) -> list[Task]:
        """By the clock, though they did not take the processor for so long."""
        return [task for task in self.all if task.wall_ms > ms >= task.processor_ms]

    def longest(self) -> Task:
        return max(self.all, key=lambda task: task.processor_ms)


@contextmanager
def traced_tasks(who: Reader) -> Iterator[Tasks]:
    """What is done meanwhile, on the thread of this page."""
    browser = who.context.browser
    if browser is None:
        raise RuntimeError("this context has no browser to trace")
    found = Tasks()
    browser.start_tracing(page=who.page, categories=CATEGORIES)
    try:
        yield found
    finally:
        found.all = tasks_of(orjson.loads(browser.stop_tracing())["traceEvents"])


def tasks_of(events: Sequence[dict[str, Any]]) -> list[Task]:
    """The tasks of the busiest page thread in a trace (times in microseconds), in their order."""
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    timed = [event for event in events if event["ph"] == "X" and "tdur" in event]
    busy: Counter[tuple[int, int]] = Counter()
    for event in timed:
        if event["name"] in TASK_NAMES and (event["pid"], event["tid"]) in threads:
            busy[event["pid"], event["tid"]] += event["tdur"]
    if not busy:
        raise RuntimeError("the trace tells of no tasks")
    thread = busy.most_common(1)[0][0]
    own = [event for event in timed if (event["pid"], event["tid"]) == thread]
    own.sort(key=lambda event: (event["ts"], -event["dur"]))
    return _tasks(own)


def _tasks(events: Sequence[dict[str, Any]]) -> list[Task]:
    """One after the other; what a task holds comes behind it, the outer before the inner."""
    tasks: list[Task] = []
    open_events: list[dict[str, Any]] = []
    for event in events:
        while open_events and open_events[-1]["ts"] + open_events[-1]["dur"] <= event["ts"]:
            open_events.pop()
        if event["name"] in TASK_NAMES:
            # One task has both names where both categories tell of it.
            if not any(outer["name"] in TASK_NAMES for outer in open_events):
                at = (event["ts"] - events[0]["ts"]) / 1_000_000
                tasks.append(Task(at, event["dur"] / 1000, event["tdur"] / 1000, {}))
                open_events = [event]
        elif open_events and event["name"] in PARTS:
            parts = tasks[-1].parts_ms
            outer = PARTS.get(open_events[-1]["name"])
            if outer:
                parts[outer] -= event["tdur"] / 1000
            part = PARTS[event["name"]]
            parts[part] = parts.get(part, 0.0) + event["tdur"] / 1000
            open_events.append(event)
    return tasks
