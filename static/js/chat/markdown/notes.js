// The footnotes of one answer. Their numbers follow the order of their first references. Pure.

const LOOKS_LIKE_NOTE = /^\d{1,3}$/;

export class Notes {
  #defined = new Set();
  #numbers = new Map();
  #isWhole = false;

  define(label) {
    this.#defined.add(label);
  }

  /** The number of a reference, or null if it is only text in brackets. */
  refer(label) {
    // While the text grows, its definition may still follow.
    const isNote = this.#defined.has(label) || (!this.#isWhole && LOOKS_LIKE_NOTE.test(label));
    if (!isNote) return null;
    if (!this.#numbers.has(label)) this.#numbers.set(label, this.#numbers.size + 1);
    return this.#numbers.get(label);
  }

  /** Number the footnotes that the block `token` refers to, before it is drawn. */
  referAll(token) {
    if (token.type === "footnoteRef") this.refer(token.label);
    for (const part of partsOf(token)) this.referAll(part);
  }

  /** The number of a definition, or null while there is no reference to it. */
  numberOf(label) {
    return this.#numbers.get(label) ?? null;
  }

  /** The text is complete: from now on, references get their final numbers. */
  settle() {
    this.#isWhole = true;
    this.#numbers.clear();
  }
}

const partsOf = ({ tokens = [], items = [], header = [], rows = [] }) => [...tokens, ...items, ...header, ...rows.flat()];
