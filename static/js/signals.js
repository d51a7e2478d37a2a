// Signals without a view library, for modules that also run in node.
export { batch, computed, effect, signal, untracked } from "../vendor/preact-signals-core-1.14.5/signals-core.js";
