// The footnotes of one answer: which are defined, and their numbers, in the order in which the text
// refers to them. Pure.

const LOOKS_LIKE_NOTE = /^\d{1,3}$/;

export class Notes {
  #defined = new Set();
  #numbers = new Map();
  #isWhole = false;

  define(label) {
    this.#defined.add(label);
  }

  /** The number shown for a reference, or null: then it is just text in brackets. */
  refer(label) {
    // While the text grows its definition may be still to come.
    const isNote = this.#defined.has(label) || (!this.#isWhole && LOOKS_LIKE_NOTE.test(label));
    if (!isNote) return null;
    if (!this.#numbers.has(label)) this.#numbers.set(label, this.#numbers.size + 1);
    return this.#numbers.get(label);
  }

  /** Number what the block `token` refers to, before it is drawn. */
  referAll(token) {
    if (token.type === "footnoteRef") this.refer(token.label);
    for (const part of partsOf(token)) this.referAll(part);
  }

  /** The number of a definition, or null while nothing refers to it. */
  numberOf(label) {
    return this.#numbers.get(label) ?? null;
  }

  /** Everything is read: what is referred to from now on gets its final number. */
  settle() {
    this.#isWhole = true;
    this.#numbers.clear();
  }
}

const partsOf = ({ tokens = [], items = [], header = [], rows = [] }) => [...tokens, ...items, ...header, ...rows.flat()];
