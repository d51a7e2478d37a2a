// One search at a time: it starts a moment after typing stops and cancels the one before.
import { signal } from "../../signals.js";

/**
 * @typedef {object} SearchState
 * @property {string} query
 * @property {"idle" | "searching" | "done" | "failed"} status
 * @property {object[]} results
 * @property {string} message
 */

const AFTER_MS = 160;
const MIN_CHARS = 2;

export class Search {
  state = signal(/** @type {SearchState} */ ({ query: "", status: "idle", results: [], message: "" }));
  #ask;
  /** @type {number | undefined} */
  #timer;
  /** @type {AbortController | null} */
  #calling = null;

  /** @param {(query: string, signal: AbortSignal) => Promise<{results: object[]}>} ask */
  constructor(ask) {
    this.#ask = ask;
  }

  /** @param {string} query */
  look(query) {
    clearTimeout(this.#timer);
    this.#calling?.abort();
    const wanted = query.trim();
    if (!isWorthAsking(wanted)) {
      this.state.value = { query: wanted, status: "idle", results: [], message: "" };
      return;
    }
    // The last results stay on screen until the new ones arrive.
    this.state.value = { ...this.state.peek(), query: wanted, status: "searching" };
    this.#timer = setTimeout(() => this.#call(query), AFTER_MS);
  }

  /** @param {string} query */
  async #call(query) {
    const wanted = query.trim();
    const calling = (this.#calling = new AbortController());
    try {
      const { results } = await this.#ask(query.trimStart(), calling.signal);
      if (calling.signal.aborted) return;
      this.state.value = { query: wanted, status: "done", results, message: "" };
    } catch (error) {
      if (calling.signal.aborted) return;
      this.state.value = { query: wanted, status: "failed", results: [], message: error instanceof Error ? error.message : String(error) };
    }
  }
}

/**
 * Whether to search for `query`. A single letter would match everything, but a Chinese character is a word.
 * @param {string} query
 */
const isWorthAsking = (query) => query.length >= MIN_CHARS || /[\u3040-\u9fff]/.test(query);
