// The files of each composer, as signals. What attaches and uploads them (attaching.js) is loaded with the first
// file, or at once if an earlier page left some.
import { signal } from "../../signals.js";
import { LEFT_FILES, remember, remembered } from "../lib/storage.js";
import { text } from "../text.js";
import * as places from "./places.js";

/** @typedef {import("../log/fold.js").File} File */

/**
 * A file of a composer.
 * @typedef {object} Attached
 * @property {string} id
 * @property {string} name
 * @property {number} bytes
 * @property {import("./limits.js").Kind} kind as it is guessed, until the server has looked at it
 * @property {number} addedMs
 * @property {"uploading" | "waiting" | "checking" | "ready" | "refused"} state
 * @property {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<number>} progress up to 1
 * @property {{message: string, canRetry: boolean} | null} problem why it is refused, or what it waits for
 * @property {string | null} preview the address of a small picture
 * @property {ArrayBuffer} [picture] what is at that address
 * @property {number} [width] of the preview
 * @property {number} [height]
 * @property {number} [duration_ms] of sound
 * @property {string} alt what its author says that it shows; "" for nothing
 * @property {File | null} file as the server knows it, once it is ready
 * @property {boolean} isStored whether the browser's database has it
 * @property {boolean} isSent whether the chat has it already: of a message that is edited, or made by a model
 */

/** @type {Attached[]} */
const NONE = [];

export class Attachments {
  lists = signal(/** @type {Map<string, Attached[]>} */ (new Map()));
  /** What a screen reader is to say. */
  said = signal("");
  /** Whether files are being dragged over the page. */
  isDraggedOver = signal(false);
  /** For modules that are loaded later: what they import themselves would be one more file of the first load. */
  places = places;
  /** @type {Map<string, string>} the addresses of small pictures, by file; also of messages that were just sent */
  previews = new Map();

  #options;
  /** @type {Promise<import("./attaching.js").Attaching> | null} */
  #loading = null;

  /** @param {Omit<ConstructorParameters<typeof import("./attaching.js").Attaching>[0], "attachments">} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * Upload what earlier pages left.
   * @param {(message: string) => boolean} isQueued
   */
  start(isQueued) {
    if (remembered(LEFT_FILES)) void this.use((attaching) => attaching.sweep(isQueued)).catch(() => {});
  }

  /**
   * Note whether this browser keeps files.
   * @param {boolean} hasSome
   */
  note(hasSome) {
    remember(LEFT_FILES, hasSome ? "yes" : null);
  }

  /** Whether files of messages that are not sent yet are lost with this page. */
  get wouldLose() {
    return [...this.lists.peek()].some(([place, list]) => places.messageOf(place) && list.some(({ isStored, isSent }) => !isStored && !isSent));
  }

  /** @param {string} place */
  at(place) {
    return this.lists.value.get(place) ?? NONE;
  }

  /**
   * The address of a small picture of a file that was attached in this browser.
   * @param {File} file
   */
  previewOf({ id, thumb }) {
    // That of a file that the log does not have yet may be found later.
    if (!thumb) void this.lists.value;
    return this.previews.get(id);
  }

  /** @param {string} place */
  peekAt(place) {
    return this.lists.peek().get(place) ?? NONE;
  }

  /**
   * Call `work` with what attaches files, once it is loaded. Rejects if it cannot be loaded now.
   * @template T
   * @param {(attaching: import("./attaching.js").Attaching) => T | Promise<T>} work
   * @returns {Promise<T>}
   */
  async use(work) {
    if (!this.#loading) {
      const loading = import("./attaching.js").then((module) => new module.Attaching({ attachments: this, ...this.#options }));
      this.#loading = loading;
      loading.catch(() => (this.#loading = null));
    }
    return work(await this.#loading);
  }

  /**
   * @param {string} place
   * @param {globalThis.File[]} files
   */
  add(place, files) {
    if (files.length === 0) return;
    this.use((attaching) => attaching.add(place, files)).catch(() => this.#options.toasts.show(text.unreachable, { isProblem: true }));
  }

  /**
   * Whether a file of the place cannot be sent; then the person is told.
   * @param {string} place
   */
  isStuck(place) {
    const isStuck = this.peekAt(place).some(({ state }) => state === "refused");
    if (isStuck) void this.use((attaching) => attaching.sayStuck());
    return isStuck;
  }

  /**
   * The list of a place is another one now.
   * @param {string} place
   * @param {Attached[]} list
   */
  put(place, list) {
    const lists = new Map(this.lists.peek());
    if (list.length > 0) lists.set(place, list);
    else lists.delete(place);
    this.lists.value = lists;
  }

  /**
   * Move files to the end of another place.
   * @param {string} from
   * @param {string} to
   */
  move(from, to) {
    const moved = this.peekAt(from);
    if (moved.length === 0 || from === to) return;
    this.put(from, NONE);
    this.put(to, [...this.peekAt(to), ...moved]);
    void this.use((attaching) => attaching.moved(moved.map(({ id }) => id))).catch(() => {});
  }

  /**
   * Move the files of a composer to a message that is sent.
   * @param {string} place
   * @param {string} message
   */
  moveToMessage(place, message) {
    this.move(place, places.messagePlace(message));
  }

  /**
   * Move the files of a message that is not sent back into a composer.
   * @param {string} message
   * @param {string | null} draft
   */
  moveBack(message, draft) {
    this.move(places.messagePlace(message), places.composerPlace(draft));
  }

  /**
   * The files of a place are not wanted any more.
   * @param {string} place
   */
  clear(place) {
    if (this.peekAt(place).length > 0) void this.use((attaching) => attaching.clear(place)).catch(() => {});
  }

  /** The person has signed out. */
  forget() {
    this.lists.value = new Map();
    if (this.#loading) void this.use((attaching) => attaching.forget());
  }
}

/**
 * What a message that is not sent yet says of a file.
 * @param {Attached} attached
 * @returns {File & {isSent?: boolean}}
 */
export function fileOf({ id, kind, name, bytes, width, height, duration_ms, alt, file, isSent }) {
  const begun = file ?? { id, kind, name, bytes, ...(width && { width, height }), ...(duration_ms && { duration_ms }) };
  const known = alt ? { ...begun, alt } : begun;
  return isSent ? { ...known, isSent } : known;
}
