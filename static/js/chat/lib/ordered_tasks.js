// Runs the tasks of one key (such as a chat) one after the other; tasks of different keys run side by side.

export class OrderedTasks {
  /** @type {Map<string, Promise<unknown>>} the last task of each key */
  #last = new Map();
  /** @type {Set<() => void>} functions that start the waiting tasks */
  #waiting = new Set();

  /**
   * Run `task` once the earlier tasks of the same key have ended, whether or not they failed.
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} task
   * @returns {Promise<T>} its result
   */
  run(key, task) {
    let start = () => {};
    const isStarted = new Promise((resolve) => (start = () => resolve(undefined)));
    this.#waiting.add(start);
    void (this.#last.get(key) ?? Promise.resolve()).then(start, start);
    const turn = isStarted.then(() => {
      this.#waiting.delete(start);
      return task();
    });
    this.#last.set(key, turn);
    const forget = () => {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    };
    turn.then(forget, forget);
    return turn;
  }

  /** Start all waiting tasks, in order, because tasks that still wait when the page is closed are lost. */
  startAll() {
    for (const start of this.#waiting) start();
  }
}
