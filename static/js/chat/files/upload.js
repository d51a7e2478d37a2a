// The upload of one file. Every step may be repeated: the browser names the file, and the server says which
// parts it has. So an upload goes on after a lost connection or a reload, in this tab or another.
import { ApiError } from "../api.js";
import { backoffMs } from "../lib/backoff.js";
import { sha256 } from "./sha256.js";

/** @typedef {import("../log/fold.js").File} File */

/**
 * @typedef {object} FileState what the server says of a file
 * @property {string} id
 * @property {"uploading" | "checking" | "ready" | "refused"} state
 * @property {number} part_bytes
 * @property {number[]} parts those that the server has
 * @property {number[]} [wav_parts] those of the decoded sound, if the server was told of it
 * @property {File} [file] if it is ready
 * @property {{code: string, message: string}} [error] if it is refused
 * @property {"none" | "waiting" | "done" | "failed"} [transcription] of sound that is ready
 * @property {string} [text] the transcript, once it is done
 * @property {string} [error_text] why there is none
 * @property {any} [user] a visitor has become a guest with this file
 */

/**
 * @typedef {object} Requests
 * @property {(body: object) => Promise<FileState>} begin
 * @property {(id: string, part: number, body: ArrayBuffer, options: {signal: AbortSignal, onProgress: (bytes: number) => void}) => Promise<FileState>} part
 * @property {Requests["part"]} [wavPart] of the decoded sound
 * @property {(id: string) => Promise<FileState>} complete
 * @property {(id: string) => Promise<FileState>} state
 */

/**
 * @typedef {object} Options
 * @property {Requests} requests
 * @property {() => string | null} person the id of the person on the page
 * @property {(user: any) => void} onUser
 * @property {() => Promise<ArrayBuffer | null>} read the content; null if this browser has it no more
 * @property {() => Promise<ArrayBuffer | null>} [decoded] sound as a WAV that the page has decoded, if the file is no WAV
 * @property {(step: {state: "uploading" | "checking" | "waiting", progress: number, message?: string}) => void} report
 * @property {AbortSignal} signal
 * @property {EventTarget} wake "wake" ends a wait
 */

/** The code of an upload whose content is gone. */
export const FILE_GONE = "file_gone";
const FIRST_LOOK_MS = 150;
const LAST_LOOK_MS = 2_000;
// A file that the server forgets or misses parts of again and again.
const MOST_ROUNDS = 5;
const BEGIN_AGAIN = new Set(["file_not_found", "file_incomplete"]);

/**
 * Resolves with the file once it is ready. Rejects with an ApiError if the server refuses it, and with the reason
 * of the signal.
 * @param {{id: string, name: string, bytes: number}} file
 * @param {Options} options
 * @returns {Promise<File>}
 */
export function uploadFile(file, options) {
  return new Upload(file, options).run();
}

class Upload {
  #file;
  #options;
  /** @type {ArrayBuffer | null} */
  #data = null;
  /** @type {ArrayBuffer | null} */
  #wav = null;
  #sha256 = "";
  #wavSha256 = "";

  /**
   * @param {{id: string, name: string, bytes: number}} file
   * @param {Options} options
   */
  constructor(file, options) {
    this.#file = file;
    this.#options = options;
  }

  async run() {
    this.#data = await this.#options.read();
    this.#wav = (this.#data && (await this.#options.decoded?.())) || null;
    for (let round = 1; ; round++) {
      try {
        return await this.#untilReady(await this.#begin());
      } catch (thrown) {
        const error = /** @type {ApiError} */ (thrown);
        if (!BEGIN_AGAIN.has(error.code) || round >= MOST_ROUNDS || !this.#data) throw this.#data ? error : gone(error);
      }
    }
  }

  async #begin() {
    const { id, name, bytes } = this.#file;
    const { requests, person, onUser } = this.#options;
    if (!this.#data) return this.#ask(() => requests.state(id));
    this.#sha256 ||= await sha256(this.#data);
    if (this.#wav) this.#wavSha256 ||= await sha256(this.#wav);
    const wav = this.#wav ? { bytes: this.#wav.byteLength, sha256: this.#wavSha256 } : undefined;
    const state = await this.#ask(() => requests.begin({ id, name, bytes, sha256: this.#sha256, wav, person: person() }));
    if (state.user && person() === null) onUser(state.user);
    return state;
  }

  /** @param {FileState} begun */
  async #untilReady(begun) {
    let state = begun;
    while (state.state === "uploading") state = await this.#sendNext(state);
    for (let looks = 0; state.state === "checking"; looks++) {
      this.#options.report({ state: "checking", progress: 1 });
      await this.#pause(Math.min(LAST_LOOK_MS, FIRST_LOOK_MS * 2 ** looks));
      state = await this.#ask(() => this.#options.requests.state(this.#file.id));
    }
    if (state.file) return state.file;
    throw new ApiError({ status: 422, ...state.error });
  }

  /**
   * Send the first part that the server does not have, or say that all of them are there.
   * @param {FileState} state
   */
  #sendNext({ part_bytes: size, parts, wav_parts: wavParts }) {
    const { id, bytes } = this.#file;
    const { requests } = this.#options;
    const wavBytes = wavParts ? this.#wav?.byteLength ?? 0 : 0;
    const next = missing(bytes, size, parts);
    const nextOfWav = wavBytes > 0 && requests.wavPart ? missing(wavBytes, size, wavParts) : undefined;
    const before = { total: bytes + wavBytes, done: Math.min(bytes, parts.length * size) + Math.min(wavBytes, (wavParts?.length ?? 0) * size) };
    if (next !== undefined) return this.#send(requests.part, this.#data, { part: next, size, ...before });
    if (nextOfWav !== undefined) return this.#send(requests.wavPart, this.#wav, { part: nextOfWav, size, ...before });
    return this.#ask(() => requests.complete(id));
  }

  /**
   * @param {Requests["part"] | undefined} request
   * @param {ArrayBuffer | null} data
   * @param {{part: number, size: number, total: number, done: number}} place
   */
  #send(request, data, { part, size, total, done }) {
    const { report, signal } = this.#options;
    if (!request || !data) throw gone();
    /** @param {number} sent */
    const onProgress = (sent) => report({ state: "uploading", progress: Math.min(1, (done + sent) / total) });
    return this.#ask(() => {
      onProgress(0);
      return request(this.#file.id, part, data.slice(part * size, (part + 1) * size), { signal, onProgress });
    });
  }

  /**
   * Repeat a request until the server has answered.
   * @template T
   * @param {() => Promise<T>} order
   */
  async #ask(order) {
    const { signal, report } = this.#options;
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await order();
      } catch (thrown) {
        signal.throwIfAborted();
        const error = /** @type {ApiError} */ (thrown);
        if (!error.isRetryable) throw error;
        report({ state: "waiting", progress: 0, message: error.message });
        await this.#pause(Math.max(error.retryAfterMs, backoffMs(attempt)), this.#options.wake);
      }
    }
  }

  /**
   * @param {number} ms
   * @param {EventTarget | null} wake
   */
  #pause(ms, wake = null) {
    const { signal } = this.#options;
    return /** @type {Promise<void>} */ (new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        wake?.removeEventListener("wake", done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      wake?.addEventListener("wake", done);
      signal.addEventListener("abort", done);
    }));
  }
}

/**
 * The first part that is not there.
 * @param {number} bytes
 * @param {number} size of a part
 * @param {number[]} [parts]
 */
function missing(bytes, size, parts = []) {
  const there = new Set(parts);
  const count = Math.max(1, Math.ceil(bytes / size));
  return Array.from({ length: count }, (_, part) => part).find((part) => !there.has(part));
}

/** @param {ApiError | null} error */
function gone(error = null) {
  if (error && error.code !== "file_not_found") return error;
  return new ApiError({ status: 404, code: FILE_GONE, message: "" });
}
