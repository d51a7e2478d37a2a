// Arrow-up in an empty composer recalls the texts that were sent in this chat, and arrow-down goes forward
// again. Typing ends it.

export class InputHistory {
  #entries;
  #index = -1; // from the newest; -1: no text is recalled

  /** @param {() => string[]} entries texts, oldest first */
  constructor(entries) {
    this.#entries = entries;
  }

  /**
   * The text to show instead of `shown`, or null to leave it.
   * @param {string} shown
   */
  up(shown) {
    const entries = this.#newestFirst();
    if (!this.#isAt(shown, entries)) {
      if (shown !== "") return null;
      this.#index = -1;
    }
    if (this.#index + 1 >= entries.length) return null;
    this.#index += 1;
    return entries[this.#index];
  }

  /** @param {string} shown */
  down(shown) {
    const entries = this.#newestFirst();
    if (!this.#isAt(shown, entries)) return null;
    this.#index -= 1;
    return this.#index < 0 ? "" : entries[this.#index];
  }

  /**
   * @param {string} shown
   * @param {string[]} entries
   */
  #isAt(shown, entries) {
    return this.#index >= 0 && entries[this.#index] === shown;
  }

  #newestFirst() {
    return [...new Set(this.#entries().toReversed())];
  }
}
