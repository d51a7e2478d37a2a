// The one place that names the vendored view libraries. Importing @preact/signals (not only its
// core) is what makes a component re-render when a signal it read has changed.
import { h, render, Component, Fragment } from "../vendor/preact-11.2.0/preact.js";
import htm from "../vendor/htm-3.1.1/htm.js";

export { h, render, Component, Fragment };
export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-11.2.0/hooks.js";
export { batch, computed, effect, signal, untracked, useComputed, useSignal } from "../vendor/preact-signals-2.11.4/signals.js";
export const html = htm.bind(h);
