// Recordings that are not attached yet, second by second, in the browser's database: after a crash, what was said
// until then is there. The contents are ArrayBuffers, because Safari loses Blobs.
import { LEFT_RECORDINGS, remember } from "../lib/storage.js";
import { msOf, RATE } from "../sound/wav.js";

/** All of them, in one record. */
const HEADS = "recordings";

/**
 * @typedef {object} Head
 * @property {string} id
 * @property {number} startedMs
 * @property {number} pieces how many there are
 * @property {number} ms how long it is
 */

/** @param {string} id @param {number} index */
const keyOf = (id, index) => `${id}/sound/${index}`;

export class RecordingStore {
  #database;
  #makeRoom;
  #value;

  /** @param {import("./database.js").Tools} tools */
  constructor({ database, makeRoom, value }) {
    this.#database = database;
    this.#makeRoom = makeRoom;
    this.#value = value;
  }

  /**
   * Those that are stored, oldest first.
   * @returns {Promise<Head[]>}
   */
  async heads() {
    const heads = (await this.#database.run(["meta"], "readonly", (store) => headsOf(store, this.#value))) ?? {};
    return Object.values(heads).sort((one, other) => one.startedMs - other.startedMs);
  }

  /**
   * Store a second, or the beginning of one. Returns whether the database has it.
   * @param {{id: string, startedMs: number}} recording
   * @param {number} index
   * @param {Int16Array<ArrayBuffer>} samples
   */
  async keep(recording, index, samples) {
    remember(LEFT_RECORDINGS, "yes");
    return (await this.#put(recording, index, samples)) ?? (await this.#makeRoom(), await this.#put(recording, index, samples)) ?? false;
  }

  /**
   * What is stored of a recording, without a gap.
   * @param {string} id
   * @returns {Promise<Int16Array[]>}
   */
  async pieces(id) {
    const found = await this.#database.run(["meta", "file_data"], "readonly", async (store) => {
      const { pieces = 0 } = (await headsOf(store, this.#value))[id] ?? {};
      const read = Array.from({ length: pieces }, (_, index) => this.#value(store("file_data").get(keyOf(id, index))));
      return Promise.all(read);
    });
    const whole = found ?? [];
    const gap = whole.findIndex((piece) => !piece);
    return whole.slice(0, gap < 0 ? whole.length : gap).map((piece) => new Int16Array(piece));
  }

  /** @param {string} id */
  async remove(id) {
    const isLast = await this.#database.run(["meta", "file_data"], "readwrite", (store) => removeRecording(store, this.#value, id));
    if (isLast) remember(LEFT_RECORDINGS, null);
  }

  /**
   * @param {{id: string, startedMs: number}} recording
   * @param {number} index
   * @param {Int16Array<ArrayBuffer>} samples
   * @returns {Promise<true | undefined>}
   */
  #put({ id, startedMs }, index, samples) {
    return this.#database.run(["meta", "file_data"], "readwrite", async (store) => {
      const heads = await headsOf(store, this.#value);
      store("file_data").put(samples.buffer, keyOf(id, index));
      store("meta").put({ ...heads, [id]: { id, startedMs, pieces: index + 1, ms: msOf(index * RATE + samples.length) } }, HEADS);
      return /** @type {true} */ (true);
    });
  }
}

/**
 * Remove a recording within a transaction of "meta" and "file_data". Resolves with whether no other is left.
 * @param {import("./database.js").Stores} store
 * @param {typeof import("./database.js").value} value
 * @param {string} id
 */
export async function removeRecording(store, value, id) {
  const { [id]: head, ...others } = await headsOf(store, value);
  for (let index = 0; index < (head?.pieces ?? 0); index++) store("file_data").delete(keyOf(id, index));
  if (head) store("meta").put(others, HEADS);
  return Object.keys(others).length === 0;
}

/**
 * @param {import("./database.js").Stores} store
 * @param {typeof import("./database.js").value} value
 * @returns {Promise<Record<string, Head>>}
 */
async function headsOf(store, value) {
  return (await value(store("meta").get(HEADS))) ?? {};
}
