"""What people wait for in the browser: long answers and conversations, the first word, the first page.

A real Chromium on the whole product. Every figure is compared with the target beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser

from tests.bench.markdown_upstream import CHUNKS_PER_SECOND, TOKENS, answer_text
from tests.bench.page_browser import Reader, chromium, reader
from tests.bench.page_floor import scrolling_floor, streaming_floor
from tests.bench.page_lighthouse import lighthouse
from tests.bench.page_seed import LONG_MODEL
from tests.bench.page_tasks import traced_tasks
from tests.bench.processes import ROOT, Child
from tests.bench.product import Product, product
from tests.bench.report import Target, percentile

DEMO = "demo:500-200-20"
SLOW_FRAME_MS = 50
LONG_TASK_MS = 50
FLOOR_STEPS = 150
ROUND_TRIP_MS = 200
MIB = 1024 * 1024


class Bench:
    def __init__(self) -> None:
        self.targets: list[Target] = []
        self.notes: list[str] = []

    def hold(self, name: str, value: float, limit: float, unit: str = "") -> None:
        target = Target(name, round(value, 2), limit, unit)
        self.targets.append(target)
        print(target.line(), flush=True)

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"        {text}", flush=True)

    # --- The long answer ----------------------------------------------------------

    def long_answer(self, who: Reader, floor_path: str) -> None:
        """10,000 tokens of Markdown in 25 s, in a conversation of its own; before it as plain text."""
        floor = streaming_floor(who, floor_path, LONG_MODEL, SLOW_FRAME_MS)
        self.note(f"floor, the same stream as plain text: {floor.line()}")
        who.open()
        heap = who.heap_bytes()
        who.forget()
        who.ask("Explain all of it at length", LONG_MODEL)
        who.until("streaming")
        started, before = time.monotonic(), who.metrics()
        peak = 0.0
        while who.count(".answer[aria-busy=true]"):
            time.sleep(1)
            peak = max(peak, who.metrics()["JSHeapUsedSize"])
        seconds, after = time.monotonic() - started, who.metrics()
        found = who.probe()
        shown = who.settled()
        grown = who.heap_bytes() - heap
        slow = sum(frame > SLOW_FRAME_MS for frame in found["frames"])
        share = {
            part: 100 * (after[f"{part}Duration"] - before[f"{part}Duration"]) / seconds
            for part in ("Script", "Layout", "RecalcStyle", "Task")
        }
        tasks = [task["duration"] for task in found["tasks"]]
        self.hold("long answer: tasks over 50 ms", len(tasks), 0)
        self.hold("long answer: frames over 50 ms", 100 * slow / len(found["frames"]), 1, "%")
        self.hold("long answer: script", share["Script"], 30, "% of the time")
        self.hold("long answer: heap growth", grown / MIB, 100, "MiB")
        self.hold("long answer: heap peak", (peak - heap) / MIB, 100, "MiB")
        self.hold("long answer: arrival to painted, p95", percentile(found["painted"], 0.95), 50, "ms")
        worst = f", longest task {max(tasks):.0f} ms" if tasks else ""
        self.note(
            f"{len(found['painted'])} deltas in {seconds:.1f} s, {len(found['frames'])} frames, painted p50 "
            f"{percentile(found['painted'], 0.5):.0f} ms{worst}; of the time layout {share['Layout']:.0f} %, "
            f"style {share['RecalcStyle']:.0f} %, the page's thread in all {share['Task']:.0f} %"
        )
        self.hold("long answer: replaced at the end", who.page.locator("[data-replaced]").count(), 0)
        who.page.reload()
        who.page.locator("html[data-ready]").wait_for(state="attached")
        again = who.settled()
        self.hold("long answer: differs from the page after a reload", int(again != shown), 0)
        if again != shown:
            pairs = enumerate(zip(shown, again, strict=False))
            at = max(60, next((at for at, (one, other) in pairs if one != other), 60))
            self.note(f"streamed: …{shown[at - 60 : at + 60]!r}…, reloaded: …{again[at - 60 : at + 60]!r}…")

    # --- The first word -------------------------------------------------------------

    def first_word(self, who: Reader, samples: int, name: str) -> None:
        who.open()
        clicks: list[float] = []
        painted: list[float] = []
        for number in range(samples):
            who.forget()
            who.ask(f"Question {number}", DEMO)
            who.page.wait_for_function("() => probe.firstPaintAt && probe.painted.length > 40")
            found = who.probe()
            clicks.append(found["firstPaintAt"] - found["clickedAt"])
            painted += found["painted"]
            who.page.click(".send")
            who.until("stopped")
        self.hold(f"{name}: click to the first painted word, p95", percentile(clicks, 0.95), 1000, "ms")
        self.hold(f"{name}: arrival to painted, p95", percentile(painted, 0.95), 50, "ms")
        self.note(
            f"{samples} questions to {DEMO}, which waits 500 ms: click to painted p50 "
            f"{percentile(clicks, 0.5):.0f} ms, max {max(clicks):.0f} ms"
        )

    # --- The long conversation -------------------------------------------------------

    def long_conversation(self, who: Reader, path: str, turns: int) -> None:
        who.open()  # the scripts are known, as they are to who has used the site before
        opened = []
        for _ in range(3):
            who.open(path)
            who.settled()
            found = who.probe()
            opened.append(max(found["readyAt"], found["largestPaintAt"]))
        self.hold(f"{2 * turns} messages: open", percentile(opened, 0.5), 1000, "ms")
        self.note(f"opened in {', '.join(f'{ms:.0f}' for ms in opened)} ms")
        floor = scrolling_floor(who, FLOOR_STEPS, SLOW_FRAME_MS)
        self.note(f"floor, plain paragraphs under the same wheel: {floor.line()}")
        who.open(path)
        who.settled()
        who.forget()
        who.page.mouse.move(640, 400)
        scrolled = 0
        with traced_tasks(who) as tasks:
            while who.count(".thread .turn") < min(turns, 400):
                scrolled += who.wheel_up(1)
            found = who.probe()
        slow = sum(frame > SLOW_FRAME_MS for frame in found["frames"])
        long = tasks.over(LONG_TASK_MS)
        self.hold(f"{2 * turns} messages: tasks over 50 ms of processor time while scrolling", len(long), 0)
        for task in long[-5:]:
            self.note(f"after {task.at_seconds:.1f} s {task.line()}")
        self.note(
            f"scrolled {scrolled} px up, to {who.count('.thread .turn')} questions; longest task "
            f"{tasks.longest().line()}; by the clock {len(tasks.late(LONG_TASK_MS))} others over 50 ms, "
            f"which waited for the processor; {slow} of {len(found['frames'])} frames over 50 ms"
        )

    # --- The first page -----------------------------------------------------------------

    def first_page(self, who: Reader) -> None:
        sizes: dict[str, float] = {}
        addresses: dict[str, str] = {}
        who.tools.send("Network.enable")
        who.tools.send("Network.setCacheDisabled", {"cacheDisabled": True})
        who.tools.on(
            "Network.requestWillBeSent", lambda e: addresses.update({e["requestId"]: e["request"]["url"]})
        )
        who.tools.on(
            "Network.loadingFinished", lambda e: sizes.update({e["requestId"]: e["encodedDataLength"]})
        )
        who.open()
        who.page.wait_for_load_state("networkidle")
        self.hold("first page: compressed", sum(sizes.values()) / 1024, 200, "KiB")
        largest = sorted(((size, addresses[key]) for key, size in sizes.items()), reverse=True)[:3]
        self.note(
            ", ".join(f"{url.rpartition('/')[2] or '/'} {size / 1024:.0f} KiB" for size, url in largest)
        )


@contextmanager
def markdown_upstream() -> Iterator[str]:
    child = Child("upstream", ["-m", "tests.bench.markdown_upstream"], talks=True)
    try:
        yield child.read_line().decode().strip()
    finally:
        child.stop()


@contextmanager
def far_away(port: int) -> Iterator[str]:
    child = Child("line", ["-m", "tests.bench.delay_proxy", str(port), str(ROUND_TRIP_MS)], talks=True)
    try:
        yield f"http://127.0.0.1:{child.read_line().decode().strip()}"
    finally:
        child.stop()


def measure(bench: Bench, browser: Browser, running: Product, given: argparse.Namespace) -> None:
    base, session = f"http://127.0.0.1:{running.port}", running.seeded["session"]
    wanted = given.only.split(",")
    with reader(browser, base, session) as who:
        if "answer" in wanted:
            bench.long_answer(who, running.seeded["floor"])
        if "word" in wanted:
            bench.first_word(who, given.samples, "near")
        if "conversation" in wanted:
            bench.long_conversation(who, running.seeded["long"], given.turns)
    if "word" in wanted:
        with far_away(running.port) as far, reader(browser, far, session) as who:
            bench.first_word(who, given.samples, f"{ROUND_TRIP_MS} ms round trip")
    if "page" in wanted:
        with reader(browser, base, session) as who:
            bench.first_page(who)


def build() -> None:
    """The bundle, and the static files with their compressed forms, as a start makes them."""
    environment = {**os.environ, "SECRET_KEY": "bench-only", "DJANGO_SETTINGS_MODULE": "chatsite.settings"}
    for command in (["chatsite/launcher/bundle.py"], ["manage.py", "collectstatic", "--noinput", "-v0"]):
        done = [sys.executable, *command]
        subprocess.run(done, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def run(given: argparse.Namespace) -> Bench:
    build()
    bench = Bench()
    print(f"load average {os.getloadavg()[0]:.1f}: absolute times count on an idle machine only")
    print(f"{TOKENS} tokens, {len(answer_text())} characters, {CHUNKS_PER_SECOND} pieces a second")
    seed = ["tests.bench.page_seed", str(given.turns)]
    with markdown_upstream() as upstream, product(upstream, 1, seed, DEMO_MODEL="1") as running:
        with chromium() as browser:
            measure(bench, browser, running, given)
        if "lighthouse" in given.only.split(","):
            for path in ("/", running.seeded["long"]):
                address = f"http://127.0.0.1:{running.port}{path}"
                scores = lighthouse(address, running.seeded["session"], given.lighthouse)
                name = "first page" if path == "/" else f"{2 * given.turns} messages"
                for kind, score in scores.items():
                    # A score must reach its limit; a target is what stays below.
                    bench.hold(f"{name}: Lighthouse {kind}, points below 100", 100 - score, 5.01)
    return bench


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.bench.page", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="answer,word,conversation,page,lighthouse")
    parser.add_argument("--samples", type=int, default=20, help="questions for the first word")
    parser.add_argument("--turns", type=int, default=1000, help="of the long conversation: two messages each")
    parser.add_argument(
        "--lighthouse", type=Path, default=ROOT / "build" / "lighthouse", help="where it is put"
    )
    return parser.parse_args(arguments)


def main() -> None:
    bench = run(parse())
    sys.exit(0 if all(target.passed for target in bench.targets) else 1)


if __name__ == "__main__":
    main()
