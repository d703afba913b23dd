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
# Transitions are over: axe would measure colours in between.
STILL = """() => Promise.all(document.getAnimations()
  .filter((one) => one.effect.getTiming().iterations !== Infinity).map((one) => one.finished))"""


async def complaints(page: Page, *, covered: str = "") -> list[dict[str, Any]]:
    """What is serious or critical. ``covered`` lies partly under an open menu, until that closes."""
    await page.evaluate(STILL)
    if not await page.evaluate("() => 'axe' in globalThis"):
        # By the protocol: a script element would be refused by the content security policy.
        await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = await page.evaluate(RUN, [list(RULES), covered])
    return [one for one in found if one["impact"] in GRAVE]
