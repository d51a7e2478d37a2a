// Attaches files to composers: shows them at once, keeps them in this browser, uploads them, and removes them again.
// It is loaded with the first file (attachments.js).
import { signal } from "../../signals.js";
import { repeatUntilAnswered } from "../api.js";
import { uuid7 } from "../lib/ids.js";
import { FileStore } from "../local/file_store.js";
import { decodedWav } from "../sound/decoding.js";
import { msOfBytes, wavMs } from "../sound/wav.js";
import { doubtAbout, fitting, guessKind, MOST_BYTES, MOST_BYTES_OF, MOST_FILES, mostBytesOf } from "./limits.js";
import { canBeShown, previewOf } from "./preview.js";
import { fileRequests } from "./requests.js";
import { SoundAddresses } from "./sound_addresses.js";
import { own } from "./texts.js";
import { FILE_GONE } from "./upload.js";
import { Uploads } from "./uploads.js";

const CHANNEL = "holdfast:files";
const TRIES = 5;
const MB = 1_000_000;
// By then the picture itself is shown.
const LATER_MS = 300;
// Trying again would give the same answer.
const FINAL = new Set(["file_kind", "file_too_large", "file_too_long", "file_too_many_pixels", "file_damaged", "file_locked", "file_empty", FILE_GONE]);

/**
 * @typedef {import("./attachments.js").Attached} Attached
 * @typedef {import("../log/fold.js").File} File
 * @typedef {import("../local/file_store.js").FileRecord} FileRecord
 * @typedef {import("../compose/send_queue_items.js").Item} Item
 */

/**
 * @typedef {object} Options
 * @property {import("./attachments.js").Attachments} attachments
 * @property {(Kind: typeof FileStore) => FileStore} later makes the store
 * @property {() => string} owner of this browser's data
 * @property {(place: string) => boolean} isTemporary whether the place is in a temporary chat
 * @property {import("../lib/toasts.js").Toasts} toasts
 * @property {() => string | null} person
 * @property {(user: any) => void} onUser
 * @property {EventTarget} wake
 */

export class Attaching {
  /** Settled once the files that earlier pages left are known. */
  restored;

  #options;
  #attachments;
  #places;
  #store;
  #uploads;
  #channel = globalThis.BroadcastChannel ? new BroadcastChannel(CHANNEL) : null;
  /** @type {Promise<unknown>} what is still to be written to the database */
  #writes = Promise.resolve();
  /** @type {Map<string, (step: import("./uploads.js").Step) => void>} what listens to uploads of files that are in no composer */
  #apart = new Map();
  #sounds;
  #hasSaidNoRoom = false;
  #lastMs = 0;

  /** @param {Options} options */
  constructor(options) {
    const { attachments, later, person, onUser, wake } = options;
    const store = later(FileStore);
    this.#options = options;
    this.#attachments = attachments;
    this.#places = attachments.places;
    this.#store = store;
    this.#sounds = new SoundAddresses((id) => store.content(id));
    this.#uploads = new Uploads({
      requests: fileRequests,
      person,
      onUser,
      wake,
      read: (id) => store.content(id),
      decoded: (id) => this.#decoded(id),
      onStep: (id, step) => (this.#apart.get(id) ?? ((one) => this.#step(id, one)))(step),
      locks: navigator.locks ?? null,
    });
    this.#channel?.addEventListener("message", ({ data }) => data.owner === this.#options.owner() && void this.#read());
    this.restored = this.#read();
  }

  // Actions

  /**
   * Attach files that a person has chosen. Resolves with how many a message has room for, once the browser has
   * stored what it can.
   * @param {string} place
   * @param {globalThis.File[]} chosen
   */
  async add(place, chosen) {
    return (await this.#add(place, chosen)).length;
  }

  /**
   * Attach a recording. Resolves with whether the message has room for it, and whether it is settled: the browser has
   * stored the file in place of the recording, or the file was removed again. Otherwise the recording stays stored
   * until the file is stored, sent or removed.
   * @param {string} place
   * @param {globalThis.File} file
   * @param {string} recording
   */
  async addRecording(place, file, recording) {
    const [id] = await this.#add(place, [file], recording);
    const attached = id ? this.#find(id)?.attached : null;
    return { isAttached: Boolean(id), isSettled: Boolean(id) && (!attached || attached.isStored) };
  }

  /**
   * Upload content that is in no composer, with the files that are. Resolves with the file once it is ready.
   * @param {{id: string, name: string}} file
   * @param {ArrayBuffer} content
   * @param {(step: import("./uploads.js").Step) => void} onStep
   */
  uploadApart({ id, name }, content, onStep) {
    this.#store.hold(id, content);
    this.#apart.set(id, onStep);
    return this.#uploads.start({ id, name, bytes: content.byteLength });
  }

  /**
   * The content is wanted no more, neither here nor on the server.
   * @param {string} id
   */
  dropApart(id) {
    this.#apart.delete(id);
    this.#discard(id);
  }

  /**
   * The address of a sound that this browser has, or null.
   * @param {{id: string, name: string}} file
   */
  soundAddress(file) {
    return this.#sounds.of(file);
  }

  /**
   * Show the files of a message that is edited.
   * @param {string} place
   * @param {File[]} files
   */
  addSent(place, files) {
    this.#attachments.put(place, files.map((file) => ({ ...attachedOf({ ...file, addedMs: 0 }), file, state: "ready", preview: this.#previewOf(file), isSent: true })));
  }

  /**
   * Attach a file that the chat has already, such as a picture that a model made.
   * @param {string} place
   * @param {File} file
   */
  addExisting(place, file) {
    const here = this.#attachments.peekAt(place);
    if (here.some(({ id }) => id === file.id)) return;
    if (here.length >= MOST_FILES) return this.#options.toasts.show(own.tooMany(MOST_FILES), { isProblem: true });
    const attached = attachedOf({ ...file, addedMs: this.#nextMs() });
    this.#attachments.put(place, [...here, { ...attached, file, state: "ready", preview: this.#previewOf(file), isSent: true }]);
    this.#attachments.said.value = own.added(file.name);
  }

  /** @param {string} id */
  remove(id) {
    const found = this.#find(id);
    if (!found) return;
    this.#attachments.put(found.place, this.#attachments.peekAt(found.place).filter((attached) => attached.id !== id));
    this.#attachments.said.value = own.removed(found.attached.name);
    this.#drop(found.attached);
  }

  /** @param {string} place */
  clear(place) {
    const list = this.#attachments.peekAt(place);
    this.#attachments.put(place, []);
    for (const attached of list) this.#drop(attached);
  }

  /** @param {string} id */
  retry(id) {
    void this.#upload(id);
  }

  /** A file must be removed, or tried again with, before the message can be sent. */
  sayStuck() {
    this.#options.toasts.show(own.solveFirst, { isProblem: true });
  }

  /**
   * The files are at another place now, maybe one that nothing may be stored of, or the other way round.
   * @param {string[]} ids
   */
  moved(ids) {
    for (const id of ids) void this.#keep(id);
  }

  /**
   * Resolves when all files of a message are ready. Rejects with an ApiError if one is refused.
   * @param {Item} item
   * @param {{isAgain?: boolean}} [options] again: the server does not have them any more
   */
  async prepare(item, { isAgain = false } = {}) {
    await this.restored;
    const files = (item.files ?? []).filter((file) => !file.isSent);
    await Promise.all(files.map((file) => this.#prepareOne(file, this.#places.messagePlace(item.id), isAgain)));
  }

  /**
   * The server has the message, so this browser needs its files no more.
   * @param {string} message
   */
  sent(message) {
    const place = this.#places.messagePlace(message);
    const list = this.#attachments.peekAt(place);
    this.#attachments.put(place, []);
    for (const { id } of list) {
      this.#sounds.forget(id);
      void this.#write(() => this.#store.remove(id));
    }
  }

  /**
   * Note what a picture shows, in its author's words.
   * @param {string} id
   * @param {string} alt
   */
  describe(id, alt) {
    this.#show(id, { alt });
    return this.#write(() => this.#store.change(id, { alt }));
  }

  /**
   * Forget the files of messages that are not in the send queue: another tab has sent or lost them.
   * @param {(message: string) => boolean} isQueued
   */
  async sweep(isQueued) {
    await this.restored;
    for (const place of this.#attachments.lists.peek().keys()) {
      const message = this.#places.messageOf(place);
      if (message && !isQueued(message)) this.sent(message);
    }
  }

  forget() {
    this.#uploads.stopAll();
    this.#channel?.close();
  }

  // Private: one file

  /**
   * Resolves with the ids of the files that were added.
   * @param {string} place
   * @param {globalThis.File[]} chosen
   * @param {string} [recording] that the file is made of
   */
  async #add(place, chosen, recording) {
    const here = this.#attachments.peekAt(place);
    const { taken, refused } = fitting(here, chosen);
    if (refused) this.#options.toasts.show(refused === "count" ? own.tooMany(MOST_FILES) : own.tooMuch(MOST_BYTES / MB), { isProblem: true });
    const added = taken.map((file) => attachedOf({ id: uuid7(), name: file.name, bytes: file.size, kind: guessKind(file), addedMs: this.#nextMs() }));
    if (added.length === 0) return [];
    this.#attachments.put(place, [...here, ...added]);
    this.#attachments.said.value = own.added(added.map(({ name }) => name).join(", "));
    await Promise.all(taken.map((file, index) => this.#bring(added[index].id, file, recording)));
    return added.map(({ id }) => id);
  }

  /**
   * @param {string} id
   * @param {globalThis.File} file
   * @param {string} [recording]
   */
  async #bring(id, file, recording) {
    if (guessKind(file) === "image") void this.#drawPreview(id, file);
    const content = await file.arrayBuffer().catch(() => null);
    if (!this.#find(id)) return;
    if (!content) return this.#fail(id, own.unreadable, false);
    this.#store.hold(id, content, recording);
    const ms = wavMs(content);
    if (ms !== null) this.#show(id, { duration_ms: ms });
    const kept = this.#keep(id);
    this.#begin(id);
    return kept;
  }

  /**
   * Upload a file, unless the server would probably refuse it.
   * @param {string} id
   */
  #begin(id) {
    const { name, bytes } = this.#find(id)?.attached ?? { name: "", bytes: 0 };
    const doubt = doubtAbout({ name, size: bytes });
    if (!doubt) return void this.#upload(id);
    if (doubt === "empty") return this.#fail(id, own.empty, false);
    const most = doubt === "any" ? Math.max(...Object.values(MOST_BYTES_OF)) : mostBytesOf(doubt, name);
    // The kind is a guess, so a person may try.
    return this.#fail(id, own.tooLarge[doubt](most / MB), doubt !== "any");
  }

  /**
   * The WAV that the server wants beside sound of another kind, or null.
   * @param {string} id
   */
  async #decoded(id) {
    if (this.#find(id)?.attached.kind !== "audio") return null;
    const kept = await this.#store.decoded(id);
    if (kept) return kept;
    const content = await this.#store.content(id);
    const wav = content && (await decodedWav(content));
    if (!wav || !this.#find(id)) return null;
    const change = { duration_ms: msOfBytes(wav.byteLength) };
    this.#show(id, change);
    await this.#write(async () => (await this.#store.keepDecoded(id, wav), this.#store.change(id, change)));
    return wav;
  }

  /**
   * @param {string} id
   * @param {globalThis.File} file
   */
  async #drawPreview(id, file) {
    // Seen at once: for a small <img> a browser decodes no more than it shows, and not in this thread.
    const whole = URL.createObjectURL(file);
    if (await canBeShown(whole)) this.#show(id, { preview: whole });
    await new Promise((resolve) => setTimeout(resolve, LATER_MS));
    const made = await previewOf(file);
    URL.revokeObjectURL(whole);
    const attached = this.#find(id)?.attached;
    if (!attached) return;
    if (!made) return this.#show(id, { preview: attached.file?.thumb ?? null });
    const { picture, width, height } = made;
    this.#show(id, { width, height, preview: this.#addressOf(id, picture) });
    const bytes = await picture.arrayBuffer();
    this.#show(id, { picture: bytes });
    // If the file is stored later, it is stored with its picture.
    void this.#write(() => this.#store.change(id, { preview: bytes, width, height }));
  }

  /**
   * @param {string} id
   * @param {Blob} picture
   */
  #addressOf(id, picture) {
    const address = URL.createObjectURL(picture);
    this.#attachments.previews.set(id, address);
    return address;
  }

  /** @param {File} file */
  #previewOf(file) {
    return this.#attachments.previews.get(file.id) ?? file.thumb ?? null;
  }

  /**
   * @param {File} file
   * @param {string} place
   * @param {boolean} isAgain
   */
  async #prepareOne(file, place, isAgain) {
    const found = this.#find(file.id);
    if (!found) this.#attachments.put(place, [...this.#attachments.peekAt(place), attachedOf({ ...file, addedMs: this.#nextMs() })]);
    else if (found.attached.file && !isAgain) return found.attached.file;
    return this.#upload(file.id);
  }

  /**
   * Resolves with the file once it is ready.
   * @param {string} id
   */
  #upload(id) {
    const found = this.#find(id);
    if (!found) return null;
    this.#show(id, { state: "uploading", problem: null, file: null });
    const done = this.#uploads.start(found.attached);
    done.then((file) => this.#isReady(id, file), (error) => this.#failed(id, error));
    return done;
  }

  /**
   * @param {string} id
   * @param {import("./uploads.js").Step} step
   */
  #step(id, { state, progress, message }) {
    const attached = this.#find(id)?.attached;
    if (!attached) return;
    if (state !== "waiting") attached.progress.value = progress;
    if (attached.state !== state) this.#show(id, { state, problem: message ? { message, canRetry: false } : null });
  }

  /**
   * @param {string} id
   * @param {File} file
   */
  #isReady(id, file) {
    const found = this.#find(id);
    if (!found) return;
    this.#show(id, { state: "ready", problem: null, kind: file.kind, duration_ms: file.duration_ms ?? found.attached.duration_ms, file, preview: found.attached.preview ?? file.thumb ?? null });
    void this.#write(() => this.#store.change(id, { file }));
    if (this.#attachments.peekAt(found.place).every(({ state }) => state === "ready")) this.#attachments.said.value = own.ready;
  }

  /**
   * @param {string} id
   * @param {import("../api.js").ApiError} error
   */
  #failed(id, error) {
    if (error.name === "AbortError") return;
    this.#fail(id, error.code === FILE_GONE ? own.gone : error.message, !FINAL.has(error.code));
  }

  /**
   * @param {string} id
   * @param {string} message
   * @param {boolean} canRetry
   */
  #fail(id, message, canRetry) {
    const found = this.#find(id);
    if (!found) return;
    this.#show(id, { state: "refused", problem: { message, canRetry } });
    this.#attachments.said.value = own.notAttached(found.attached.name, message);
  }

  /** @param {Attached} attached */
  #drop({ id, isSent }) {
    if (!isSent) this.#discard(id);
  }

  /** @param {string} id */
  #discard(id) {
    this.#uploads.stop(id);
    void this.#write(() => this.#store.remove(id));
    const address = this.#attachments.previews.get(id);
    if (address) URL.revokeObjectURL(address);
    this.#attachments.previews.delete(id);
    this.#sounds.forget(id);
    // Without an answer, the server forgets a file that no message has after a day.
    repeatUntilAnswered(() => fileRequests.drop(id), { wake: this.#options.wake, tries: TRIES }).catch(() => {});
  }

  // Private: the lists

  /** A moment after that of every file before, so that the order stays. */
  #nextMs() {
    return (this.#lastMs = Math.max(Date.now(), this.#lastMs + 1));
  }

  /**
   * @param {string} id
   * @returns {{place: string, attached: Attached} | null}
   */
  #find(id) {
    for (const [place, list] of this.#attachments.lists.peek()) {
      const attached = list.find((one) => one.id === id);
      if (attached) return { place, attached };
    }
    return null;
  }

  /**
   * @param {string} id
   * @param {Partial<Attached>} change
   */
  #show(id, change) {
    const place = this.#find(id)?.place;
    if (place === undefined) return;
    this.#attachments.put(place, this.#attachments.peekAt(place).map((attached) => (attached.id === id ? { ...attached, ...change } : attached)));
  }

  // Private: the database

  /**
   * Store a file, or take it out where nothing may be stored.
   * @param {string} id
   */
  #keep(id) {
    return this.#write(async () => {
      const found = this.#find(id);
      if (!found || found.attached.isSent) return;
      if (this.#places.isOfPage(found.place) || this.#options.isTemporary(found.place)) {
        if (found.attached.isStored) await this.#store.takeOut(id);
        this.#show(id, { isStored: false });
        return;
      }
      if (found.attached.isStored) return void (await this.#store.change(id, { place: found.place }));
      if (!this.#store.isHeld(id)) return;
      this.#attachments.note(true);
      const isStored = await this.#store.keep(recordOf(found.attached, found.place));
      this.#show(id, { isStored });
      if (!isStored && !this.#hasSaidNoRoom) this.#options.toasts.show(own.noRoom, { isProblem: true });
      this.#hasSaidNoRoom ||= !isStored;
    });
  }

  /**
   * Write to the database after what is still to be written, and tell the other tabs.
   * @param {() => Promise<unknown>} work
   */
  #write(work) {
    const written = this.#writes.then(work).then(() => this.#channel?.postMessage({ owner: this.#options.owner() }));
    this.#writes = written.catch(() => {});
    return written;
  }

  #ids() {
    return new Set([...this.#attachments.lists.peek().values()].flat().map(({ id }) => id));
  }

  /** The records, once they tell of everything that was done here. */
  async #records() {
    for (;;) {
      const writes = this.#writes;
      await writes;
      const records = await this.#store.records();
      if (writes === this.#writes) return records;
    }
  }

  /** Show the files that the database has: those of earlier pages, and of other tabs. */
  async #read() {
    const records = await this.#records();
    // The database did not open in time, for example. What it has must be looked for again by the next page.
    if (!records) return;
    this.#attachments.note(records.length > 0);
    /** @type {Map<string, Attached[]>} */
    const lists = new Map();
    /** @param {string} place @param {Attached} attached */
    const put = (place, attached) => lists.set(place, [...(lists.get(place) ?? []), attached]);
    const found = records.map((record) => ({ record, known: this.#find(record.id)?.attached }));
    for (const { record, known } of found) put(record.place, known ? { ...known, isStored: true } : this.#restoredOf(record));
    const fresh = found.filter(({ record, known }) => !known && !record.file && this.#places.messageOf(record.place) === null);
    const ids = new Set(records.map(({ id }) => id));
    // Those that only this page has.
    for (const [place, list] of this.#attachments.lists.peek()) for (const attached of list) if (!attached.isStored && !ids.has(attached.id)) put(place, attached);
    // A large file may be stored after a small one that was added later.
    for (const list of lists.values()) list.sort((one, other) => one.addedMs - other.addedMs);
    const before = this.#ids();
    this.#attachments.lists.value = lists;
    const after = this.#ids();
    // Another tab has removed or sent them.
    for (const id of before) if (!after.has(id)) this.#uploads.stop(id);
    for (const { record } of fresh) this.#begin(record.id);
  }

  /**
   * @param {FileRecord} record
   * @returns {Attached}
   */
  #restoredOf(record) {
    const { id, preview, file = null } = record;
    const address = preview ? this.#addressOf(id, new Blob([preview])) : file?.thumb ?? null;
    return { ...attachedOf(record), file, kind: file?.kind ?? record.kind, state: file ? "ready" : "uploading", preview: address, picture: preview, isStored: true };
  }
}

/**
 * @param {Pick<Attached, "id" | "name" | "bytes" | "kind" | "addedMs"> & {width?: number, height?: number, duration_ms?: number, alt?: string}} known
 * @returns {Attached}
 */
function attachedOf({ id, name, bytes, kind, addedMs, width, height, duration_ms, alt = "" }) {
  return { id, name, bytes, kind, addedMs, width, height, duration_ms, alt, state: "uploading", progress: signal(0), problem: null, preview: null, file: null, isStored: false, isSent: false };
}

/**
 * @param {Attached} attached
 * @param {string} place
 * @returns {FileRecord}
 */
function recordOf({ id, name, bytes, kind, addedMs, width, height, duration_ms, alt, picture, file }, place) {
  return { id, place, name, bytes, kind, addedMs, ...(alt && { alt }), ...(width && { width, height }), ...(duration_ms && { duration_ms }), ...(picture && { preview: picture }), ...(file && { file }) };
}
