// Short notices at the edge of the page, each with at most one button.
import { signal } from "../../signals.js";

/**
 * @typedef {object} Toast
 * @property {number} id
 * @property {string} message
 * @property {boolean} isProblem
 * @property {string | null} label of the button, if there is one
 * @property {(() => void) | null} run the action of the button
 */

const SHOWN_MS = 8_000;

export class Toasts {
  items = signal(/** @type {Toast[]} */ ([]));
  #nextId = 1;

  /**
   * @param {string} message
   * @param {{isProblem?: boolean, label?: string | null, run?: (() => void) | null, forMs?: number}} [options]
   */
  show(message, { isProblem = false, label = null, run = null, forMs = SHOWN_MS } = {}) {
    const id = this.#nextId++;
    const rest = this.items.peek().filter((item) => item.message !== message);
    this.items.value = [...rest, { id, message, isProblem, label, run }];
    setTimeout(() => this.dismiss(id), forMs);
  }

  /** @param {number} id */
  dismiss(id) {
    this.items.value = this.items.peek().filter((item) => item.id !== id);
  }
}
