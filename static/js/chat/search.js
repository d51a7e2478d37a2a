// One search at a time: asked a moment after typing stopped, the one before called off.
import { signal } from "../signals.js";

const AFTER_MS = 160;
const MIN_CHARS = 2;

export class Search {
  /** {query, status: "idle" | "searching" | "done" | "failed", results, message} */
  state = signal({ query: "", status: "idle", results: [], message: "" });
  #ask;
  #timer = null;
  #calling = null;

  /** @param ask async (query, AbortSignal) => {results} */
  constructor(ask) {
    this.#ask = ask;
  }

  look(query) {
    clearTimeout(this.#timer);
    this.#calling?.abort();
    const wanted = query.trim();
    if (!isWorthAsking(wanted)) {
      this.state.value = { query: wanted, status: "idle", results: [], message: "" };
      return;
    }
    // What was found before stays on screen until the answer is there.
    this.state.value = { ...this.state.peek(), query: wanted, status: "searching" };
    this.#timer = setTimeout(() => this.#call(query), AFTER_MS);
  }

  async #call(query) {
    const wanted = query.trim();
    const calling = (this.#calling = new AbortController());
    try {
      const { results } = await this.#ask(query.trimStart(), calling.signal);
      if (calling.signal.aborted) return;
      this.state.value = { query: wanted, status: "done", results, message: "" };
    } catch (error) {
      if (calling.signal.aborted) return;
      this.state.value = { query: wanted, status: "failed", results: [], message: error.message };
    }
  }
}

/** A single letter finds everything; a single character of Chinese is a word. */
const isWorthAsking = (query) => query.length >= MIN_CHARS || /[\u3040-\u9fff]/.test(query);
