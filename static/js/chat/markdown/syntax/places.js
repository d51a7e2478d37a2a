// Finds the next match of a pattern in a text that is read from start to end. A match is remembered until
// the reader has passed it, so the text is searched once, not again from each position. Pure.

export class Places {
  /** @type {Map<string | RegExp, number>} pattern -> the distance of its next match from the end of the text; -1: no more */
  #left = new Map();

  /**
   * The index of the next match of `pattern` (a string, or an expression with the flag "g") from `from` on; or -1.
   * @param {string | RegExp} pattern
   * @param {string} text
   */
  next(pattern, text, from = 0) {
    const left = this.#left.get(pattern);
    if (left === -1) return -1;
    if (left !== undefined && left <= text.length - from) return text.length - left;
    const index = indexOf(pattern, text, from);
    this.#left.set(pattern, index < 0 ? -1 : text.length - index);
    return index;
  }
}

/**
 * @param {string | RegExp} pattern
 * @param {string} text
 * @param {number} from
 */
function indexOf(pattern, text, from) {
  if (typeof pattern === "string") return text.indexOf(pattern, from);
  pattern.lastIndex = from;
  const index = pattern.exec(text)?.index ?? -1;
  pattern.lastIndex = 0;
  return index;
}
