// What becomes of recordings: they are attached, turned into text or discarded, and those that a crash or a reload has
// interrupted are offered again.
import { signal } from "../../signals.js";
import { ApiError } from "../api.js";
import { fileRequests } from "../files/requests.js";
import { clockTime } from "../lib/format.js";
import { uuid7 } from "../lib/ids.js";
import { text } from "../text.js";
import { transcriptOf } from "./dictation.js";
import { openMicrophone } from "./microphone.js";
import { pauseSound } from "./playing.js";
import { Recording } from "./recording.js";
import { clock, own } from "./texts.js";
import { wavOf } from "./wav.js";

const LOCK = "holdfast:recording:";
const SETTLED = { isAttached: true, isSettled: true };

/** @typedef {import("../local/recording_store.js").Head} Head */

/**
 * What the recorder shows: a recording; one that is becoming a text, with what that waits for; or one that has ended,
 * with the reason why it is still here.
 * @typedef {{kind: "recording", recording: Recording} | {kind: "transcribing", waits: string} | {kind: "ended", reason: string, canRetry: boolean}} Phase
 */

/**
 * @typedef {object} Options
 * @property {import("../local/recording_store.js").RecordingStore} store
 * @property {import("../files/attachments.js").Attachments} attachments
 * @property {import("../lib/toasts.js").Toasts} toasts
 * @property {() => boolean} isTemporary whether nothing of the chat on screen may be stored
 */

export class Recorder {
  phase = signal(/** @type {Phase | null} */ (null));
  /** Those that other pages have left. */
  interrupted = signal(/** @type {Head[]} */ ([]));
  /** What a screen reader is to say. */
  said = signal("");
  /** Whether this browser has no room to store the recording. */
  hasNoRoom = signal(false);

  #options;
  #id = "";
  #startedMs = 0;
  /** @type {Recording | null} */
  #recording = null;
  #isTemporary = false;
  #isBusy = false;
  #hasSaidMinute = false;
  /** @type {AbortController | null} */
  #dictation = null;
  #release = () => {};
  /** @type {Set<string>} those that are files of this page, and are still stored as recordings */
  #attached = new Set();

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    void this.#look();
  }

  /** Whether a recording is lost with this page. */
  get wouldLose() {
    return this.phase.peek() !== null && (this.#isTemporary || this.hasNoRoom.peek());
  }

  // Actions

  async start() {
    if (this.phase.peek()) return;
    pauseSound();
    this.#begin();
    const recording = new Recording({ open: openMicrophone, keep: (index, samples) => void this.#keep(index, samples) });
    this.#recording = recording;
    this.phase.value = { kind: "recording", recording };
    await recording.listen();
    if (recording.state.peek() === "recording") this.said.value = own.saidBegun;
  }

  pause() {
    if (this.#recording?.state.peek() !== "recording") return;
    this.#recording.pause();
    this.said.value = own.saidPaused(clock(this.#recording.elapsedMs.peek()));
  }

  async resume() {
    pauseSound();
    await this.#recording?.listen();
    if (this.#recording?.state.peek() === "recording") this.said.value = own.saidGoesOn;
  }

  sayMinute() {
    if (!this.#hasSaidMinute) this.said.value = own.saidMinute;
    this.#hasSaidMinute = true;
  }

  /**
   * Attach the recording to the message, also while it is becoming a text.
   * @param {string} place
   */
  async attach(place) {
    if (!this.#recording || this.#isBusy) return;
    this.#isBusy = true;
    this.#endDictation();
    this.#recording.end();
    const { isAttached, isSettled } = await this.#attach(place, { id: this.#id, startedMs: this.#startedMs }, this.#recording.wav());
    this.#isBusy = false;
    if (isAttached) this.#finish({ isSettled });
    else this.phase.value = { kind: "ended", reason: own.notAttached, canRetry: false };
  }

  /**
   * Turn the recording into text. It is kept until `insert` has the text.
   * @param {(text: string) => void} insert
   */
  async dictate(insert) {
    if (!this.#recording || this.#dictation) return;
    const controller = new AbortController();
    const id = uuid7();
    this.#dictation = controller;
    // The upload ends, and the sound that the server has is deleted.
    controller.signal.addEventListener("abort", () => void this.#options.attachments.use((attaching) => attaching.dropApart(id)).catch(() => {}));
    this.#recording.end();
    this.phase.value = { kind: "transcribing", waits: "" };
    try {
      const said = await this.#transcribed(id, this.#recording.wav(), controller.signal);
      if (!said) throw new ApiError({ code: "no_words", message: own.noWords });
      controller.signal.throwIfAborted();
      insert(said);
      this.#finish();
      this.said.value = own.saidInserted;
    } catch (error) {
      const reason = (error instanceof ApiError && error.message) || own.noMeans;
      if (!controller.signal.aborted) this.phase.value = { kind: "ended", reason: own.notText(reason), canRetry: true };
    } finally {
      if (this.#dictation === controller) this.#endDictation();
    }
  }

  /** Discard the recording. A toast brings it back for a while. */
  discard() {
    const [recording, id, startedMs] = [this.#recording, this.#id, this.#startedMs];
    this.#endDictation();
    recording?.end();
    this.#finish();
    if (!recording || recording.elapsedMs.peek() === 0) return;
    const run = () => this.phase.peek() === null && this.#bringBack(recording, id, startedMs);
    this.#options.toasts.show(own.cancelled, { label: text.undo, run });
  }

  /**
   * @param {Head} head
   * @param {string} place
   */
  attachInterrupted(head, place) {
    return this.#settle(head, async () => {
      const pieces = await this.#options.store.pieces(head.id);
      return pieces.length === 0 ? SETTLED : this.#attach(place, head, wavOf(pieces));
    });
  }

  /** @param {Head} head */
  discardInterrupted(head) {
    return this.#settle(head, async () => SETTLED);
  }

  // Private

  #begin(id = uuid7(), startedMs = Date.now()) {
    [this.#id, this.#startedMs, this.#hasSaidMinute] = [id, startedMs, false];
    this.#isTemporary = this.#options.isTemporary();
    this.hasNoRoom.value = false;
    // Other pages must not offer it while this one has it.
    void navigator.locks?.request(LOCK + id, () => new Promise((resolve) => (this.#release = () => resolve(null))));
  }

  #endDictation() {
    this.#dictation?.abort();
    this.#dictation = null;
  }

  /** It is not needed here any more, and if it is settled, nowhere. */
  #finish({ isSettled = true } = {}) {
    const id = this.#id;
    const release = this.#release;
    this.#recording = null;
    this.phase.value = null;
    this.said.value = "";
    // The file that was made of it is with this page only, and so is the lock.
    if (isSettled) void this.#options.store.remove(id).finally(release);
  }

  /**
   * @param {Recording} recording
   * @param {string} id
   * @param {number} startedMs
   */
  #bringBack(recording, id, startedMs) {
    this.#begin(id, startedMs);
    this.#recording = recording;
    this.phase.value = { kind: "ended", reason: "", canRetry: false };
    recording.pieces.forEach((piece, index) => void this.#keep(index, piece));
  }

  /**
   * @param {number} index
   * @param {Int16Array<ArrayBuffer>} samples
   */
  async #keep(index, samples) {
    if (this.#isTemporary) return;
    const id = this.#id;
    const isKept = await this.#options.store.keep({ id, startedMs: this.#startedMs }, index, samples);
    if (!isKept && id === this.#id && this.phase.peek()) this.hasNoRoom.value = true;
  }

  /**
   * Make a file of the message of it.
   * @param {string} place
   * @param {{id: string, startedMs: number}} recording
   * @param {ArrayBuffer} wav
   */
  #attach(place, { id, startedMs }, wav) {
    const file = new File([wav], own.noteName(clockTime(startedMs)), { type: "audio/wav" });
    return this.#options.attachments.use((attaching) => attaching.addRecording(place, file, id)).catch(() => ({ isAttached: false, isSettled: false }));
  }

  /**
   * @param {string} id
   * @param {ArrayBuffer} wav
   * @param {AbortSignal} ending
   */
  async #transcribed(id, wav, ending) {
    /** @param {{state: string, message?: string}} step */
    const onStep = ({ state, message = "" }) => {
      if (!ending.aborted) this.phase.value = { kind: "transcribing", waits: state === "waiting" ? message : "" };
    };
    await this.#options.attachments.use((attaching) => attaching.uploadApart({ id, name: own.noteName(clockTime(this.#startedMs)) }, wav, onStep));
    return transcriptOf(() => fileRequests.state(id), { signal: ending });
  }

  /** Find what other pages have left. Those that still record hold a lock. */
  async #look() {
    const heads = await this.#options.store.heads();
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const names = new Set(held.map(({ name }) => name));
    this.interrupted.value = heads.filter(({ id }) => !names.has(LOCK + id) && !this.#attached.has(id));
  }

  /**
   * Remove an interrupted recording once `work` has settled it, in one tab.
   * @param {Head} head
   * @param {() => Promise<{isAttached: boolean, isSettled: boolean}>} work
   */
  async #settle(head, work) {
    const settle = async () => {
      const { isAttached, isSettled } = await work();
      if (isSettled) await this.#options.store.remove(head.id);
      else if (isAttached) this.#attached.add(head.id);
      else this.#options.toasts.show(own.notAttached, { isProblem: true });
    };
    const { locks } = navigator;
    await (locks ? new Promise((resolve, reject) => {
      locks.request(LOCK + head.id, { ifAvailable: true }, async (lock) => {
        if (lock) await settle();
        resolve(null);
        // The file that was made of it is with this page only: other pages must not offer it.
        if (this.#attached.has(head.id)) await new Promise(() => {});
      }).catch(reject);
    }) : settle());
    await this.#look();
  }
}
