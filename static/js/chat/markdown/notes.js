// The footnotes of one answer. Their numbers follow the order of their first references. Pure.

/** @typedef {{type: string, label?: string, tokens?: any[], items?: any[], header?: any[] | boolean, rows?: any[][]}} Token a token of marked or our own */

const LOOKS_LIKE_NOTE = /^\d{1,3}$/;

export class Notes {
  /** @type {Set<string>} */
  #defined = new Set();
  /** @type {Map<string, number>} */
  #numbers = new Map();
  #isWhole = false;

  /** @param {string} label */
  define(label) {
    this.#defined.add(label);
  }

  /**
   * The number of a reference, or null if it is only text in brackets.
   * @param {string} label
   */
  refer(label) {
    // While the text grows, its definition may still follow.
    const isNote = this.#defined.has(label) || (!this.#isWhole && LOOKS_LIKE_NOTE.test(label));
    if (!isNote) return null;
    const number = this.#numbers.get(label) ?? this.#numbers.size + 1;
    this.#numbers.set(label, number);
    return number;
  }

  /**
   * Number the footnotes that the block `token` refers to, before it is drawn.
   * @param {Token} token
   */
  referAll(token) {
    if (token.type === "footnoteRef") this.refer(token.label ?? "");
    for (const part of partsOf(token)) this.referAll(part);
  }

  /**
   * The number of a definition, or null while there is no reference to it.
   * @param {string} label
   */
  numberOf(label) {
    return this.#numbers.get(label) ?? null;
  }

  /** The text is complete: from now on, references get their final numbers. */
  settle() {
    this.#isWhole = true;
    this.#numbers.clear();
  }
}

/**
 * The cells of a table are tokens, and `header` says of each whether it is in the head.
 * @param {Token} token
 * @returns {Token[]}
 */
const partsOf = ({ tokens = [], items = [], header, rows = [] }) => [...tokens, ...items, ...(Array.isArray(header) ? header : []), ...rows.flat()];
