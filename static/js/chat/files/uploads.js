// All uploads of this page: a few at a time, each file by one tab at a time.
import { uploadFile } from "./upload.js";

const AT_ONCE = 3;

/** @typedef {import("../log/fold.js").File} File */
/** @typedef {Parameters<import("./upload.js").Options["report"]>[0]} Step */

/**
 * @typedef {object} Options
 * @property {import("./upload.js").Requests & {drop: (id: string) => Promise<unknown>}} requests
 * @property {() => string | null} person
 * @property {(user: any) => void} onUser
 * @property {(id: string) => Promise<ArrayBuffer | null>} read
 * @property {(id: string) => Promise<ArrayBuffer | null>} decoded
 * @property {(id: string, step: Step) => void} onStep
 * @property {LockManager | null} locks
 * @property {EventTarget} wake
 */

export class Uploads {
  #options;
  /** @type {Map<string, {done: Promise<File>, controller: AbortController}>} by file */
  #running = new Map();
  /** @type {(() => void)[]} uploads that wait for their turn */
  #waiting = [];
  #active = 0;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * Upload a file, or join the upload that is running. Resolves and rejects as `uploadFile` does.
   * @param {{id: string, name: string, bytes: number}} file
   */
  start(file) {
    const running = this.#running.get(file.id);
    if (running) return running.done;
    const controller = new AbortController();
    const done = this.#inTurn(() => this.#locked(file.id, controller.signal, () => this.#upload(file, controller.signal)));
    this.#running.set(file.id, { done, controller });
    const forget = () => this.#running.get(file.id)?.done === done && this.#running.delete(file.id);
    done.then(forget, forget);
    return done;
  }

  /**
   * End the upload, if it is running.
   * @param {string} id
   */
  stop(id) {
    this.#running.get(id)?.controller.abort();
    this.#running.delete(id);
  }

  stopAll() {
    for (const id of [...this.#running.keys()]) this.stop(id);
  }

  /**
   * @param {{id: string, name: string, bytes: number}} file
   * @param {AbortSignal} signal
   */
  #upload(file, signal) {
    const { requests, person, onUser, read, decoded, onStep, wake } = this.#options;
    const { id } = file;
    return uploadFile(file, { requests, person, onUser, signal, wake, read: () => read(id), decoded: () => decoded(id), report: (step) => onStep(id, step) });
  }

  /**
   * Run `work` when fewer than the most are running. A visitor has one at a time: the first one makes them a guest,
   * and two at once would make two.
   * @template T
   * @param {() => Promise<T>} work
   */
  async #inTurn(work) {
    while (this.#active >= (this.#options.person() ? AT_ONCE : 1)) await new Promise((resolve) => this.#waiting.push(() => resolve(null)));
    this.#active += 1;
    try {
      return await work();
    } finally {
      this.#active -= 1;
      // All of them look again: with the first one a visitor may have become somebody who has more turns.
      for (const look of this.#waiting.splice(0)) look();
    }
  }

  /**
   * @template T
   * @param {string} id
   * @param {AbortSignal} signal
   * @param {() => Promise<T>} work
   */
  #locked(id, signal, work) {
    const { locks } = this.#options;
    return locks ? locks.request(`holdfast:file:${id}`, { signal }, work) : work();
  }
}
