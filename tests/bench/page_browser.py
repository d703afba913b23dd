"""A Chromium on the running product, with the probe in every page, for the benchmark of the page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, sync_playwright

from tests.browser import ARGUMENTS, find_chromium

PROBE = Path(__file__).with_name("page_probe.js")
WAIT_MS = 120_000
WHEEL_PX = 500
WHEEL_PAUSE_SECONDS = 0.03
# Nothing of the page changes any more: colours and formulas have come, which wait for idle moments.
SETTLED = """async () => {
  const idle = () => new Promise((done) => setTimeout(done, 700));
  const plain = [
    "pre:not(:has(.code-bar))",
    "pre:has([class*=language-]):not(:has([class^=hljs]))",
    ".math:not(:has(math))",
  ];
  const bare = () => document.querySelector(`.thread .prose :is(${plain})`);
  for (let before = ""; before !== document.querySelector(".thread").innerHTML || bare(); await idle()) {
    before = document.querySelector(".thread").innerHTML;
  }
  const shown = document.querySelector(".thread .turn:last-child .prose").cloneNode(true);
  for (const element of shown.querySelectorAll("*")) {
    // The order in which attributes came is no difference.
    const attributes = [...element.attributes].sort((one, other) => (one.name < other.name ? -1 : 1));
    for (const one of attributes) element.removeAttributeNode(one);
    for (const one of attributes) element.setAttributeNode(one);
  }
  return shown.innerHTML;
}"""


class Reader:
    """One person's browser at one address of the product."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.base = base
        self.context = context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.tools: CDPSession = context.new_cdp_session(self.page)
        # In CPU time of the page's thread: what other programs take does not count.
        self.tools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def open(self, path: str = "/") -> None:
        self.page.goto(self.base + path)
        self.page.locator("html[data-ready]").wait_for(state="attached")

    def use(self, model: str) -> None:
        """Also one that the picker does not list: the demo's names are a grammar, not a list."""
        script = "model => { document.querySelector('input[name=model]:checked').value = model }"
        self.page.evaluate(script, model)

    def ask(self, text: str, model: str) -> None:
        self.use(model)
        self.page.fill("#message", text)
        # The line under the composer has come: what a person reads before the click.
        self.page.locator(
            "[data-field=preview][data-level=ok], [data-field=preview][data-level=near]"
        ).wait_for()
        self.page.click(".send")

    def until(self, state: str) -> None:
        self.page.locator(f".thread .turn:last-child .answer[data-state={state}]").wait_for(state="attached")

    def settled(self) -> str:
        html: str = self.page.evaluate(SETTLED)
        return html

    def probe(self) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("() => probe")
        return found

    def forget(self) -> None:
        """What the probe has noted so far."""
        script = (
            "() => Object.assign(probe, { painted: [], frames: [], tasks: [], since: performance.now() })"
        )
        self.page.evaluate(script)

    def count(self, selector: str) -> int:
        """By the browser's own query: a locator looks through the whole page, and the page waits for it."""
        script = "selector => document.querySelectorAll(selector).length"
        counted: int = self.page.evaluate(script, selector)
        return counted

    def wheel_up(self, steps: int) -> int:
        """Pixels scrolled."""
        for _ in range(steps):
            self.page.mouse.wheel(0, -WHEEL_PX)
            time.sleep(WHEEL_PAUSE_SECONDS)
        return steps * WHEEL_PX

    def metrics(self) -> dict[str, float]:
        found = self.tools.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in found}

    def heap_bytes(self) -> float:
        """What is alive."""
        self.tools.send("HeapProfiler.collectGarbage")
        return self.metrics()["JSHeapUsedSize"]


@contextmanager
def chromium() -> Iterator[Browser]:
    program = find_chromium(whole=True)
    if program is None:
        raise SystemExit("No Chromium was found: set CHROMIUM to one.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def reader(browser: Browser, base: str, session: str) -> Iterator[Reader]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-US")
    context.add_cookies([{"name": "sessionid", "value": session, "url": base}])
    context.add_init_script(path=PROBE)
    try:
        yield Reader(context, base)
    finally:
        context.close()
