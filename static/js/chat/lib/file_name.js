// Names of files made from people's texts.

const MOST_CHARS = 80;

/**
 * `text` without what a file system may refuse or hide, as accounts/personal_data/file_names.py does it; "" if
 * nothing is left.
 * @param {string} text
 */
export function fileName(text) {
  const clean = text.normalize("NFC").replace(/[\s\p{Zl}\p{Zp}]+/gu, " ").replace(/[\p{C}]/gu, "").replace(/[/\\:*?"<>|]+/g, "-");
  return Array.from(clean).slice(0, MOST_CHARS).join("").replace(/^[ .~-]+|[ .~-]+$/g, "");
}
