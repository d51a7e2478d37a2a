// Modules that the first paint does without. Each is fetched when it is needed. The rest is fetched when
// the page is first used or after a while, so that all of them are there offline.
import { signal } from "../../signals.js";

const LATE_AFTER_MS = 4_000;
const AGAIN_AFTER_MS = 3_000;
const FIRST_USE = ["pointerdown", "keydown", "input"];

/** The modules that are there, by name. */
export const parts = signal({});
let loaders = {};
const loading = new Map(); // name -> promise of the module
const needed = new Set();

/**
 * Set how each part is fetched: {name: () => import(…)}. The caller does this because parts import this
 * module, and files that are named by their content cannot import each other in a circle.
 */
export function declareParts(found) {
  loaders = found;
}

/** Fetch a part. Rejects if it cannot be fetched now; the next call tries again. */
export function fetchPart(name) {
  if (!loading.has(name)) {
    const found = loaders[name]().then((module) => {
      parts.value = { ...parts.peek(), [name]: module };
      return module;
    });
    loading.set(name, found);
    found.catch(() => loading.delete(name));
  }
  return loading.get(name);
}

/** The part, or null while it is fetched. A component that calls this is drawn again when it is there. */
export function part(name) {
  const found = parts.value[name];
  if (!found) need(name);
  return found ?? null;
}

/** Fetch a part, and try again until that succeeds. */
export function need(name) {
  if (needed.has(name)) return;
  needed.add(name);
  const again = () => (needed.delete(name), need(name));
  fetchPart(name).catch(() => setTimeout(again, AGAIN_AFTER_MS));
}

export function fetchRestLater() {
  const timer = setTimeout(fetchRest, LATE_AFTER_MS);
  function fetchRest() {
    clearTimeout(timer);
    for (const event of FIRST_USE) removeEventListener(event, fetchRest, true);
    for (const name of Object.keys(loaders)) fetchPart(name).catch(() => {});
  }
  for (const event of FIRST_USE) addEventListener(event, fetchRest, { capture: true, passive: true });
}
