// Files that are attached and not sent yet, in the browser's database: what is known of each, and apart from that
// its content as an ArrayBuffer, because Safari loses Blobs. Files of temporary chats and of messages that are
// edited are kept by this page only, and so is what the database has no room for.
import { removeRecording } from "./recording_store.js";

/**
 * The key of the sound that the page has decoded for the server.
 * @param {string} id
 */
const wavKey = (id) => `${id}/wav`;

/**
 * @typedef {object} FileRecord
 * @property {string} id
 * @property {string} place where it is attached (files/places.js)
 * @property {string} name
 * @property {number} bytes
 * @property {import("../files/limits.js").Kind} kind as it is guessed
 * @property {number} addedMs
 * @property {number} [width] of its preview
 * @property {number} [height]
 * @property {ArrayBuffer} [preview] a small picture
 * @property {number} [duration_ms] of sound
 * @property {string} [alt] what its author says that it shows
 * @property {import("../log/fold.js").File} [file] as the server knows it, once it is ready
 */

export class FileStore {
  #database;
  #makeRoom;
  #value;
  /** @type {Map<string, ArrayBuffer>} contents that the database does not have */
  #contents = new Map();
  /** @type {Map<string, string>} the recordings that the database has in place of such contents, by file */
  #recordings = new Map();

  /** @param {import("./database.js").Tools} tools */
  constructor({ database, makeRoom, value }) {
    this.#database = database;
    this.#makeRoom = makeRoom;
    this.#value = value;
  }

  /**
   * All stored records, in the order in which they were added, or null if the database cannot be read now.
   * @returns {Promise<FileRecord[] | null>}
   */
  async records() {
    /** @type {FileRecord[] | undefined} */
    const found = await this.#database.run(["files"], "readonly", (store) => this.#value(store("files").getAll()));
    return found?.sort((a, b) => a.addedMs - b.addedMs) ?? null;
  }

  /**
   * Keep the content for as long as the page lasts. If it is that of a stored recording, the recording stays in the
   * database until the file is stored, sent or removed.
   * @param {string} id
   * @param {ArrayBuffer} content
   * @param {string} [recording]
   */
  hold(id, content, recording) {
    this.#contents.set(id, content);
    if (recording) this.#recordings.set(id, recording);
  }

  /** @param {string} id */
  isHeld(id) {
    return this.#contents.has(id);
  }

  /**
   * Store a record with the content that is held. Returns whether the database has both now; else the content stays
   * with this page.
   * @param {FileRecord} record
   */
  async keep(record) {
    const isKept = (await this.#put(record)) ?? ((await this.#makeRoom(), await this.#put(record)) || false);
    if (isKept) {
      this.#contents.delete(record.id);
      this.#recordings.delete(record.id);
    }
    return isKept;
  }

  /**
   * Change the record, if the database has it.
   * @param {string} id
   * @param {Partial<FileRecord>} change
   */
  change(id, change) {
    return this.#database.run(["files"], "readwrite", async (store) => {
      const record = await this.#value(store("files").get(id));
      if (record) store("files").put({ ...record, ...change });
    });
  }

  /**
   * The content of a file, or null if this browser does not have it.
   * @param {string} id
   * @returns {Promise<ArrayBuffer | null>}
   */
  async content(id) {
    return this.#contents.get(id) ?? (await this.#database.run(["file_data"], "readonly", (store) => this.#value(store("file_data").get(id)))) ?? null;
  }

  /**
   * The sound of a file as it was decoded, or null.
   * @param {string} id
   */
  decoded(id) {
    return this.content(wavKey(id));
  }

  /**
   * Keep the decoded sound where the file is kept.
   * @param {string} id
   * @param {ArrayBuffer} wav
   */
  async keepDecoded(id, wav) {
    this.hold(wavKey(id), wav);
    const isKept = await this.#database.run(["files", "file_data"], "readwrite", async (store) => {
      if (!(await this.#value(store("files").get(id)))) return false;
      store("file_data").put(wav, wavKey(id));
      return true;
    });
    if (isKept) this.#contents.delete(wavKey(id));
  }

  /**
   * Take the file out of the database, and keep it for as long as the page lasts.
   * @param {string} id
   */
  async takeOut(id) {
    const [content, wav] = [await this.content(id), await this.decoded(id)];
    await this.#erase(id);
    if (content) this.hold(id, content);
    if (wav) this.hold(wavKey(id), wav);
  }

  /** @param {string} id */
  async remove(id) {
    this.#contents.delete(id);
    this.#contents.delete(wavKey(id));
    const recording = this.#recordings.get(id);
    this.#recordings.delete(id);
    await this.#erase(id, recording);
  }

  /**
   * @param {string} id
   * @param {string} [recording]
   */
  #erase(id, recording) {
    return this.#database.run(["files", "file_data"], "readwrite", async (store) => {
      if (recording) await removeRecording(store, this.#value, recording);
      store("files").delete(id);
      store("file_data").delete(id);
      store("file_data").delete(wavKey(id));
    });
  }

  /**
   * @param {FileRecord} record
   * @returns {Promise<true | undefined>}
   */
  #put(record) {
    return this.#database.run(["files", "file_data"], "readwrite", async (store) => {
      const content = this.#contents.get(record.id);
      const recording = this.#recordings.get(record.id);
      store("files").put(record);
      if (content) store("file_data").put(content, record.id);
      // In one transaction: after a crash the database has either the recording or the file.
      if (recording) await removeRecording(store, this.#value, recording);
      return /** @type {true} */ (true);
    });
  }
}
