"""Watches a page for long tasks, slow frames and memory; emulates a phone."""

from typing import Any

import psutil
from playwright.async_api import Browser, Page

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
WIDE: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
SLOWER = 4
# Records the durations of tasks over 50 ms.
WATCH_TASKS = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longTasks.push(task.duration);
  }).observe({type: "longtask"});
}"""
# Scrolls from the end to the start; returns the ms between frames.
SCROLL_UP = """async (frames) => {
  const scroller = document.querySelector(".scroller");
  const step = scroller.scrollTop / frames;
  const times = [];
  let last = performance.now();
  while (scroller.scrollTop > 0 && times.length < frames * 4) {
    scroller.scrollTop -= step;
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now();
    times.push(now - last);
    last = now;
  }
  return times;
}"""


async def slowed(page: Page) -> None:
    session = await page.context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})


async def heap_mb(page: Page) -> float:
    """Returns the size of the JavaScript heap after a garbage collection."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    usage = await session.send("Runtime.getHeapUsage")
    return float(usage["usedSize"]) / 1e6


async def renderer_mb(browser: Browser) -> float:
    """Returns the unshared memory (USS) of the largest renderer process."""
    session = await browser.new_browser_cdp_session()
    processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    pids = [process["id"] for process in processes if process["type"] == "renderer"]
    await session.detach()
    return max(float(psutil.Process(pid).memory_full_info().uss) for pid in pids) / 1e6
