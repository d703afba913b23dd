"""axe on a page as it stands: what it finds against WCAG 2.2 A and AA."""

from __future__ import annotations

from typing import Any

from playwright.async_api import Page

from tests.forking import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
GRAVE = ("serious", "critical")
RUN = """async ([tags, covered]) => {
  const runOnly = { type: "tag", values: tags };
  const where = { include: [["html"]], exclude: covered ? [[covered]] : [] };
  const { violations } = await axe.run(where, { runOnly, resultTypes: ["violations"] });
  return violations.map(({ id, impact, nodes }) => ({
    id, impact,
    nodes: nodes.slice(0, 5).map((one) => `${one.html.slice(0, 160)} | ${one.failureSummary ?? ""}`),
  }));
}"""
# What axe does not ask: targets of 24 px each way (44 for what a finger sends with), and nothing said twice.
REACH = """finger => {
  const faults = [];
  const tell = (what, one) => faults.push(`${what}: ${one.outerHTML.slice(0, 120)}`);
  const parts = "a[href], button, summary, select, textarea, input:not([type=hidden])";
  for (const one of document.querySelectorAll(parts)) {
    if (!one.checkVisibility({ visibilityProperty: true }) || one.tabIndex < 0) continue;
    const { width, height } = (one.closest("label") ?? one).getBoundingClientRect();
    if (height <= 1) continue;
    const least = finger && one.matches(".send, .primary, #message") ? 43.5 : 24;
    const isInText = getComputedStyle(one).display === "inline";
    if (!isInText && Math.min(width, height) < least) tell(`${width} x ${height} px`, one);
    if (one.title && one.title === one.ariaLabel) tell("said twice", one);
    if (one.matches(".quiet") && one.scrollWidth > one.clientWidth + 1) tell("runs out", one);
  }
  return faults;
}"""
# Transitions are over: axe would measure colours in between.
STILL = """() => Promise.all(document.getAnimations()
  .filter((one) => one.effect.getTiming().iterations !== Infinity).map((one) => one.finished))"""


async def out_of_reach(page: Page) -> list[str]:
    """What is too small to be hit, runs out of its place, or is said twice."""
    finger = await page.evaluate("() => matchMedia('(pointer: coarse)').matches")
    found: list[str] = await page.evaluate(REACH, finger)
    return found


async def complaints(page: Page, *, covered: str = "") -> list[dict[str, Any]]:
    """What is serious or critical. ``covered`` lies partly under an open menu, until that closes."""
    await page.evaluate(STILL)
    if not await page.evaluate("() => 'axe' in globalThis"):
        # By the protocol: a script element would be refused by the content security policy.
        await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = await page.evaluate(RUN, [list(RULES), covered])
    return [one for one in found if one["impact"] in GRAVE]
