// Small settings of this browser. Storage may be full or forbidden; then nothing is kept and nothing
// breaks. Texts that a person writes or reads are kept elsewhere: drafts.js, local/.

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
