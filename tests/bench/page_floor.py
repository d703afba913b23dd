"""The least a page can do, in the same Chromium at the same time: what the machine itself makes slow.

One page shows the same stream as plain text, appended once a frame; one scrolls plain paragraphs.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.bench.page_browser import Reader
from tests.bench.report import percentile

# On a page of the product's own address, whose policy lets no style sheet in.
BARE = """text => {
  const scroller = document.createElement("div");
  const prose = document.createElement("div");
  document.body.replaceChildren(scroller);
  document.body.style.margin = "0";
  scroller.className = "scroll";
  Object.assign(scroller.style, { height: "100vh", overflowY: "auto" });
  scroller.append(prose);
  prose.className = "prose";
  Object.assign(prose.style, { maxWidth: "46rem", margin: "auto", whiteSpace: "pre-wrap" });
  prose.textContent = text;
  scroller.scrollTop = scroller.scrollHeight;
}"""
STREAM = Path(__file__).with_name("page_floor.js")


@dataclass(frozen=True, slots=True)
class Floor:
    """Of the bare page: tasks over 50 ms, percent of frames over 50 ms, arrival to painted p95."""

    tasks: int
    slow_frames_percent: float
    painted_p95_ms: float

    def line(self) -> str:
        painted = f", arrival to painted p95 {self.painted_p95_ms:.0f} ms" if self.painted_p95_ms else ""
        return (
            f"{self.tasks} tasks and {self.slow_frames_percent:.2f} % of its frames over 50 ms{painted}"
            + ("" if self.is_quiet else ": THE MACHINE WAS NOT QUIET, this run does not count")
        )

    @property
    def is_quiet(self) -> bool:
        return self.tasks == 0 and self.slow_frames_percent < 1 and self.painted_p95_ms < 50


def _open(who: Reader, text: str) -> None:
    who.page.goto(f"{who.base}/healthz")
    who.page.evaluate(BARE, text)
    who.forget()


def _found(who: Reader, slow_frame_ms: float) -> Floor:
    found = who.probe()
    slow = sum(frame > slow_frame_ms for frame in found["frames"])
    painted = percentile(found["painted"], 0.95) if found["painted"] else 0.0
    return Floor(len(found["tasks"]), 100 * slow / max(1, len(found["frames"])), painted)


def streaming_floor(who: Reader, path: str, model: str, slow_frame_ms: float) -> Floor:
    """The whole long answer as plain text."""
    _open(who, "")
    who.page.evaluate(STREAM.read_text(encoding="utf-8"), [path, str(uuid.uuid4()), model])
    who.page.locator("html[data-ended]").wait_for(state="attached")
    ended = who.page.evaluate("() => document.documentElement.dataset.ended")
    if ended != "generation.completed":
        raise RuntimeError(f"the floor's answer ended with {ended}")
    return _found(who, slow_frame_ms)


def scrolling_floor(who: Reader, steps: int, slow_frame_ms: float) -> Floor:
    """Plain paragraphs under the same wheel."""
    _open(who, "A line of plain text that is read on the way.\n" * 20 * steps)
    who.page.mouse.move(640, 400)
    who.wheel_up(steps)
    return _found(who, slow_frame_ms)
