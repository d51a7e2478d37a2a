// Small settings of this browser. If storage is full or forbidden, nothing is stored and nothing fails.
// Texts that a person writes or reads are stored elsewhere (drafts.js, local/).

const PREFIX = "holdfast:";

/** Says that the database has files that are not sent yet. */
export const LEFT_FILES = "files";
/** Says that it has recordings that are not attached yet. */
export const LEFT_RECORDINGS = "recordings";

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
