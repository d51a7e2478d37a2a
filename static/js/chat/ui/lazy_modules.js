// Modules that the first paint does not need. Each is fetched when it is needed. The others are fetched when
// the page is first used or after a few seconds, so that all of them are available offline.
import { signal } from "../../signals.js";

const LATE_AFTER_MS = 4_000;
const AFTER_USE_MS = 400;
const AGAIN_AFTER_MS = 3_000;
const FIRST_USE = ["pointerdown", "keydown", "input"];

/** The modules that have been loaded, by name. */
export const loadedModules = signal({});
let loaders = {};
const loading = new Map(); // name -> promise of the module
const needed = new Set();

/**
 * Set how each module is fetched: {name: () => import(…)}. The caller does this because these modules import
 * this one, and files that are named by their content cannot import each other in a circle.
 */
export function declareModules(found) {
  loaders = found;
}

/** Fetch a module. Rejects if it cannot be fetched now; the next call tries again. */
export function fetchModule(name) {
  if (!loading.has(name)) {
    const fetching = loaders[name]().then((module) => {
      loadedModules.value = { ...loadedModules.peek(), [name]: module };
      return module;
    });
    loading.set(name, fetching);
    fetching.catch(() => loading.delete(name));
  }
  return loading.get(name);
}

/** The module, or null while it is being fetched. A component that calls this is drawn again once it is loaded. */
export function lazyModule(name) {
  const loaded = loadedModules.value[name];
  if (!loaded) needModule(name);
  return loaded ?? null;
}

/** Fetch a module, and try again until that succeeds. */
export function needModule(name) {
  if (needed.has(name)) return;
  needed.add(name);
  const again = () => (needed.delete(name), needModule(name));
  fetchModule(name).catch(() => setTimeout(again, AGAIN_AFTER_MS));
}

export function fetchRestLater() {
  const timer = setTimeout(fetchRest, LATE_AFTER_MS);
  function fetchRest() {
    clearTimeout(timer);
    for (const event of FIRST_USE) removeEventListener(event, fetchSoon, true);
    for (const name of Object.keys(loaders)) fetchModule(name).catch(() => {});
  }
  // Not at once: running the modules would delay the first key on a slow phone.
  const fetchSoon = () => setTimeout(fetchRest, AFTER_USE_MS);
  for (const event of FIRST_USE) addEventListener(event, fetchSoon, { capture: true, passive: true, once: true });
}
