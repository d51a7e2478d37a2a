// The service worker keeps the shell of the app for when the network is away. It is registered when
// the page has nothing else to do, and told of to the person when a new build has taken over.
import { text } from "./text.js";

const SCRIPT = "/service-worker.js";
const LOOK_EVERY_MS = 3_600_000;

export function watchBuild(toasts, container = globalThis.navigator?.serviceWorker) {
  if (!container) return;
  // The first worker takes over a page of its own build.
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

/** A page may stay open for days. */
function lookNowAndThen(registration) {
  let lookedMs = Date.now();
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible" || Date.now() - lookedMs < LOOK_EVERY_MS) return;
    lookedMs = Date.now();
    registration.update().catch(() => {});
  });
}
