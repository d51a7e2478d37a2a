// How long to wait before trying again. Jitter keeps a thousand browsers from returning at once.

const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const AT_ONCE_MS = { from: 30, to: 300 };

/**
 * Attempt 0, 1, 2, ...: half to all of 0.5 s, 1 s, 2 s, ... up to 30 s.
 * @param {number} attempt
 */
export function backoffMs(attempt, random = Math.random) {
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return Math.round(ceiling * (0.5 + random() / 2));
}

/** A short delay, for a server that is back in a moment. It is random, so that browsers do not all return at once. */
export function atOnceMs(random = Math.random) {
  return Math.round(AT_ONCE_MS.from + random() * (AT_ONCE_MS.to - AT_ONCE_MS.from));
}
