// Runs tasks that can wait in slices of a few milliseconds, so that the page can draw and react in between.

const SLICE_MS = 8;
/** @type {(() => unknown)[]} */
const queue = [];
let isScheduled = false;

/**
 * Run `task` soon, and again for as long as it returns true.
 * @param {() => unknown} task
 */
export function runWhenIdle(task) {
  queue.push(task);
  schedule();
}

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  setTimeout(run);
}

/** Run all queued tasks now, however long that takes, because the page is about to be printed. */
export function finishNow() {
  work(Infinity);
}

function run() {
  isScheduled = false;
  work(performance.now() + SLICE_MS);
  if (queue.length > 0) schedule();
}

/** @param {number} untilMs */
function work(untilMs) {
  while (queue.length > 0 && performance.now() < untilMs) {
    const task = queue[0];
    let hasMore = false;
    try {
      hasMore = task() === true;
    } catch (error) {
      reportError(error);
    }
    if (!hasMore) queue.shift();
  }
}
