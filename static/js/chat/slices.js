// Work that can wait, done in short slices between which the page can draw and be used.

const SLICE_MS = 8;
/** @type {(() => unknown)[]} */
const queue = [];
let isScheduled = false;

/**
 * Run `task` soon; while it returns true there is more of it, and it is run again.
 * @param {() => unknown} task
 */
export function later(task) {
  queue.push(task);
  schedule();
}

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  setTimeout(run);
}

/** Do now whatever there is, however long it takes: the page is about to be printed. */
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
