// Registers the service worker, which stores the app shell for offline use, once the page is idle. Tells
// the person when a new build has taken over.
import { text } from "./text.js";

const SCRIPT = "/service-worker.js";
const LOOK_EVERY_MS = 3_600_000;

export function watchBuild(toasts, container = globalThis.navigator?.serviceWorker) {
  if (!container) return;
  // The first worker belongs to the same build as the page, so it is not announced.
  let hadWorker = container.controller !== null;
  container.addEventListener("controllerchange", () => {
    if (hadWorker) toasts.show(text.newVersion, { label: text.reload, run: () => location.reload(), forMs: 60_000 });
    hadWorker = true;
  });
  const register = () => container.register(SCRIPT).then(lookNowAndThen, () => {});
  const whenIdle = () => (globalThis.requestIdleCallback ?? setTimeout)(() => void register());
  if (document.readyState === "complete") whenIdle();
  else window.addEventListener("load", whenIdle, { once: true });
}

/** Looks for a new build now and then, because a page may stay open for days. */
function lookNowAndThen(registration) {
  let lookedMs = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible" || Date.now() - lookedMs < LOOK_EVERY_MS) return;
    lookedMs = Date.now();
    registration.update().catch(() => {});
  });
}
