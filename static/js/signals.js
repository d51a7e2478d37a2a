// Signals without a view library: what modules that also run in node import.
export { batch, computed, effect, signal, untracked } from "../vendor/preact-signals-core-1.14.5/signals-core.js";
