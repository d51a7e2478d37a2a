// The timers of a connection, by name, and the acknowledgements of what it has received.

const ACK_EVERY_CHARS = 32_768;
const ACK_WITHIN_MS = 1_000;

/** Timers by name; setting one again replaces it. */
export class Timers {
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #running = new Map();

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} action
   */
  after(name, ms, action) {
    this.clear(name);
    this.#running.set(name, setTimeout(() => {
      this.#running.delete(name);
      action();
    }, ms));
  }

  /** @param {string} name */
  has(name) {
    return this.#running.has(name);
  }

  /** @param {string} name */
  clear(name) {
    clearTimeout(this.#running.get(name));
    this.#running.delete(name);
  }

  clearAll() {
    for (const name of [...this.#running.keys()]) this.clear(name);
  }
}

/** Acknowledges received characters; the server drops readers that lag far behind. */
export class Acks {
  #send;
  #timers = new Timers();
  #received = 0;
  #acked = 0;

  /** @param {(chars: number) => void} send sends the total received so far */
  constructor(send) {
    this.#send = send;
  }

  begin() {
    this.end();
    this.#received = this.#acked = 0;
  }

  end() {
    this.#timers.clearAll();
  }

  /** @param {number} chars */
  take(chars) {
    this.#received += chars;
    if (this.#received - this.#acked >= ACK_EVERY_CHARS) this.#tell();
    else if (!this.#timers.has("ack")) this.#timers.after("ack", ACK_WITHIN_MS, () => this.#tell());
  }

  #tell() {
    this.#timers.clearAll();
    if (this.#acked === this.#received) return;
    this.#acked = this.#received;
    this.#send(this.#received);
  }
}
