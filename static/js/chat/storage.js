// Small things this browser remembers. Storage may be full, or forbidden: then nothing is kept
// and nothing breaks. What somebody writes or reads is not among them: drafts.js, local/.

const PREFIX = "holdfast:";

/** @param {string} key */
export function remembered(key) {
  try {
    return localStorage.getItem(PREFIX + key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string | null | undefined} value
 */
export function remember(key, value) {
  try {
    if (value) localStorage.setItem(PREFIX + key, value);
    else localStorage.removeItem(PREFIX + key);
  } catch {
    // See above.
  }
}
