"""Inspects a state of a page in light on a desktop and in dark on the smallest phone. With --full,
or if screenshots are wanted, also in the other combinations and on a larger phone.

Reaching a state takes longer than inspecting it, so each state is reached once and inspected in all
looks. Problems are collected, so that one run reports them all.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import CDPSession, Page

from tests.examples import FULL

AXE = Axe().axe_script
# Enables two rules that axe leaves out by default: those of WCAG 2.2 on the size of targets and of
# WCAG 2.5.3, without which people who speak to the page could not name the buttons they see. Passed
# rules are not listed in full, which would take most of the time. Where a style sheet imports
# another, as in the admin, axe's preload would write a style element, which the content security
# policy forbids.
RUN_AXE = """async (part) => {
  const rulesOf = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  const preload = !rulesOf.some((rule) => rule instanceof CSSImportRule);
  const runOnly = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const rules = {"target-size": {enabled: true}, "label-content-name-mismatch": {enabled: true}};
  const {violations} = await axe.run(part, {runOnly, rules, preload, resultTypes: ["violations"]});
  return violations.map(({id, nodes}) => [id, nodes.map(({html, any}) => [html, any[0]?.message])]);
}"""
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
# One of these clips or scrolls content that is too wide, so the page itself does not grow.
FRAMES = "html, body, .app, .main, .topbar, .scroller, .dock, .sidebar, dialog, [role=dialog]"
TOO_WIDE = """(frames) => [...document.querySelectorAll(frames)]
  .filter((frame) => frame.checkVisibility())
  .filter((frame) => frame.scrollWidth > frame.clientWidth)
  .map((frame) => {
    const right = (node) => node.getBoundingClientRect().right;
    const inside = [...frame.querySelectorAll("*:not(.katex *, pre *, .md-table *)")];
    const widest = inside.reduce((a, b) => (right(b) > right(a) ? b : a));
    const over = frame.scrollWidth - frame.clientWidth;
    return [frame.className || frame.tagName, over, widest.outerHTML];
  })"""
NARROWEST_PX = 320


@dataclass(frozen=True)
class Look:
    scheme: str
    width: int
    height: int = 860

    @property
    def is_phone(self) -> bool:
        return self.width < 700

    def __str__(self) -> str:
        return f"{self.scheme}-{self.width}"


DESKTOP = Look("light", 1280)
# Nothing may be wider than this phone.
SMALLEST = Look("dark", NARROWEST_PX, 640)
# Desktop and phone show different elements, and light and dark have different colours. These two
# show all of both.
LOOKS = [DESKTOP, SMALLEST]
if FULL or "HOLDFAST_TEST_SCREENSHOTS" in os.environ:
    phones = [Look("dark", 390, 844), Look("light", 390, 844)]
    LOOKS = [DESKTOP, Look("dark", 1280), *phones, SMALLEST]


class Inspector:
    """`shot` saves a screenshot of a page under a name."""

    def __init__(self, page: Page, shot: Callable[[Page, str], None]) -> None:
        self.page = page
        self.shot = shot
        self.problems: list[str] = []
        self._session: CDPSession | None = None
        self._look = DESKTOP

    def look(
        self, name: str, ready: Callable[[], None] | None = None, *, part: str = "html"
    ) -> None:
        """Inspects the elements in `part`, a CSS selector, in all looks.

        `ready` restores what resizing the window closes, such as a menu.
        """
        name = re.sub(r"\W+", "-", name).strip("-")
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        for look in LOOKS:
            self._become(look, ready)
            self._run_axe(f"{name} {look}", part)
            self.fits(f"{name} {look}")
            self.shot(self.page, f"{name}-{look}")
        self._become(DESKTOP)

    def fits_everywhere(self, name: str) -> None:
        """Checks the width in all looks, without axe."""
        for look in (*LOOKS, DESKTOP):
            self._become(look)
            self.fits(f"{name} {look}")
            self.shot(self.page, f"{name}-{look}")

    def fits(self, name: str) -> None:
        """Records each element that is wider than the window or its container."""
        for part, over, html in self.page.evaluate(TOO_WIDE, FRAMES):
            self.problems.append(f"{name}: {over} px too wide in {part}: {html[:120]}")

    def _become(self, look: Look, ready: Callable[[], None] | None = None) -> None:
        """Also emulates touch on a phone, because targets are larger there."""
        if look.is_phone != self._look.is_phone:
            self._session = self._session or self.page.context.new_cdp_session(self.page)
            touch = {"enabled": look.is_phone}
            self._session.send("Emulation.setTouchEmulationEnabled", touch)
        self._look = look
        self.page.set_viewport_size({"width": look.width, "height": look.height})
        self.page.emulate_media(color_scheme=look.scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        self.page.evaluate(DRAWN)
        if ready:
            ready()
            self.page.evaluate(DRAWN)

    def _run_axe(self, where: str, part: str) -> None:
        for rule, nodes in self.page.evaluate(RUN_AXE, part):
            html, message = nodes[0]
            self.problems.append(f"{where}: {rule} ({len(nodes)}) {html[:200]} {message or ''}")
