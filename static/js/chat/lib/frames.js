// Runs drawing at most once per animation frame, and leaves the page idle for longer than it was
// busy, so that typing stays smooth whatever the model sends.

const HIDDEN_MS = 250; // a hidden page gets no animation frames
const IDLE_PER_BUSY = 3;
const CHEAP_MS = 4;

/**
 * Returns a function that runs `task` in the next frame; calls before that frame count once.
 * @param {() => void} task
 */
export function oncePerFrame(task) {
  let isAsked = false;
  let notBeforeMs = 0;
  const run = () => {
    const startMs = performance.now();
    if (startMs < notBeforeMs) {
      schedule(run);
      return;
    }
    isAsked = false;
    task();
    // Views draw in a microtask that the task queued before this one, so their time is counted, too.
    queueMicrotask(() => {
      const tookMs = performance.now() - startMs;
      notBeforeMs = tookMs > CHEAP_MS ? startMs + tookMs * (1 + IDLE_PER_BUSY) : 0;
    });
  };
  return () => {
    if (isAsked) return;
    isAsked = true;
    schedule(run);
  };
}

/** Resolves when the page has drawn its current state, or soon if a hidden page cannot draw. */
export function drawn() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    setTimeout(resolve, HIDDEN_MS);
  });
}

/** @param {() => void} run */
function schedule(run) {
  if (document.visibilityState === "hidden") setTimeout(run, HIDDEN_MS);
  else requestAnimationFrame(run);
}
