// Arrow-up in an empty composer recalls the texts that were sent in this chat, and arrow-down goes forward
// again. Typing ends it.

export class InputHistory {
  #entries;
  #asShown;
  #index = -1; // from the newest; -1: no text is recalled

  /**
   * @param {() => string[]} entries texts, oldest first
   * @param {(entry: string) => string} asShown what `shown` is after an entry was recalled
   */
  constructor(entries, asShown = (entry) => entry) {
    this.#entries = entries;
    this.#asShown = asShown;
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
    const entry = this.#index >= 0 ? entries[this.#index] : undefined;
    return entry !== undefined && this.#asShown(entry) === shown;
  }

  #newestFirst() {
    return [...new Set(this.#entries().toReversed())];
  }
}
