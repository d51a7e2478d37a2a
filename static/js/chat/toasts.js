// Short notices at the edge of the page, with at most one thing to do.
import { signal } from "../signals.js";

const SHOWN_MS = 8_000;

export class Toasts {
  /** [{id, message, isProblem, label, run}] */
  items = signal([]);
  #nextId = 1;

  show(message, { isProblem = false, label = null, run = null, forMs = SHOWN_MS } = {}) {
    const id = this.#nextId++;
    const rest = this.items.peek().filter((item) => item.message !== message);
    this.items.value = [...rest, { id, message, isProblem, label, run }];
    setTimeout(() => this.dismiss(id), forMs);
  }

  dismiss(id) {
    this.items.value = this.items.peek().filter((item) => item.id !== id);
  }
}
