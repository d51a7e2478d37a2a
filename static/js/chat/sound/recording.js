// One recording: takes the samples of a microphone, keeps each second as it is complete, and becomes a WAV.
import { signal } from "../../signals.js";
import { Resampler } from "./resampler.js";
import { MOST_MS, msOf, pcmOf, RATE, wavOf } from "./wav.js";

/** For how long each bar of the waveform stands. */
export const LEVEL_MS = 100;
const LEVEL_SAMPLES = (RATE * LEVEL_MS) / 1_000;
// Where the bars of the waveform begin and end.
const SILENT_DB = -54;
const LOUD_DB = -8;

/**
 * @typedef {import("./microphone.js").Microphone} Microphone
 * @typedef {import("./microphone.js").MicrophoneProblem} MicrophoneProblem
 */

/**
 * @typedef {object} Options
 * @property {(listeners: {onSamples: (samples: Float32Array) => void, onLost: () => void}) => Promise<Microphone>} open
 * @property {(index: number, samples: Int16Array<ArrayBuffer>) => void} keep called with each second, in order
 * @property {number} [mostMs]
 */

export class Recording {
  state = signal(/** @type {"starting" | "recording" | "paused" | "ended"} */ ("starting"));
  /** Why it is paused, if the person did not ask for it. */
  problem = signal(/** @type {MicrophoneProblem | "lost" | "full" | null} */ (null));
  elapsedMs = signal(0);
  /** How loud it was, from 0 to 1, one number for each LEVEL_MS. @type {number[]} */
  levels = [];

  #options;
  #mostSamples;
  /** @type {Microphone | null} */
  #microphone = null;
  /** @type {Promise<Microphone> | null} */
  #opening = null;
  /** @type {Resampler | null} */
  #resampler = null;
  /** @type {Int16Array<ArrayBuffer>[]} */
  #pieces = [];
  #second = new Int16Array(RATE);
  #filled = 0;
  #count = 0;
  #power = 0;
  #measured = 0;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#mostSamples = ((options.mostMs ?? MOST_MS) * RATE) / 1_000;
  }

  get isFull() {
    return this.#count >= this.#mostSamples;
  }

  /** Begin, or go on after a pause. If there is no microphone, `problem` says why. */
  async listen() {
    if (this.isFull || this.state.peek() === "recording" || this.state.peek() === "ended") return;
    this.problem.value = null;
    try {
      this.#microphone ??= await (this.#opening ??= this.#open());
    } catch (error) {
      this.problem.value = /** @type {{code?: MicrophoneProblem}} */ (error).code ?? "failed";
      return;
    } finally {
      this.#opening = null;
    }
    // It was ended while the browser asked the person.
    if (/** @type {string} */ (this.state.peek()) === "ended") return this.#close();
    this.#microphone.listen(true);
    this.state.value = "recording";
  }

  pause() {
    if (this.state.peek() !== "recording") return;
    this.#microphone?.listen(false);
    this.state.value = "paused";
    this.#keepRest();
  }

  /** End it. What was recorded stays here. */
  end() {
    if (this.state.peek() === "ended") return;
    const wasRecording = this.state.peek() === "recording";
    this.state.value = "ended";
    if (wasRecording) this.#flush();
    this.#keepRest();
    this.#close();
  }

  /** Everything that was recorded, in seconds. */
  get pieces() {
    return this.#filled > 0 ? [...this.#pieces, this.#second.slice(0, this.#filled)] : this.#pieces;
  }

  wav() {
    return wavOf(this.pieces);
  }

  async #open() {
    const microphone = await this.#options.open({ onSamples: (samples) => this.#heard(samples), onLost: () => this.#stop("lost") });
    this.#resampler = new Resampler(microphone.rate, RATE);
    return microphone;
  }

  /** @param {Float32Array} samples */
  #heard(samples) {
    if (this.state.peek() !== "recording" || !this.#resampler) return;
    this.#add(this.#resampler.take(samples));
    if (this.isFull) this.#stop("full");
  }

  /** @param {"lost" | "full"} problem */
  #stop(problem) {
    if (this.state.peek() !== "recording") return;
    this.problem.value = problem;
    this.state.value = "paused";
    this.#flush();
    this.#keepRest();
    this.#close();
  }

  #flush() {
    if (this.#resampler) this.#add(this.#resampler.end());
    this.#resampler = null;
  }

  #close() {
    this.#microphone?.close();
    this.#microphone = null;
  }

  /** @param {Float32Array} samples */
  #add(samples) {
    const pcm = pcmOf(samples).subarray(0, this.#mostSamples - this.#count);
    for (let at = 0; at < pcm.length; ) {
      const taken = pcm.subarray(at, at + RATE - this.#filled);
      this.#second.set(taken, this.#filled);
      this.#filled += taken.length;
      at += taken.length;
      if (this.#filled === RATE) this.#keepSecond();
    }
    this.#count += pcm.length;
    this.#measure(samples);
    this.elapsedMs.value = msOf(this.#count);
  }

  #keepSecond() {
    this.#pieces.push(this.#second);
    this.#options.keep(this.#pieces.length - 1, this.#second);
    this.#second = new Int16Array(RATE);
    this.#filled = 0;
  }

  /** Keep what is of the last second; if more comes, it is kept again with that. */
  #keepRest() {
    if (this.#filled > 0) this.#options.keep(this.#pieces.length, this.#second.slice(0, this.#filled));
  }

  /** @param {Float32Array} samples */
  #measure(samples) {
    for (const sample of samples) {
      this.#power += sample * sample;
      if (++this.#measured < LEVEL_SAMPLES) continue;
      this.levels.push(levelOf(this.#power / LEVEL_SAMPLES));
      this.#power = 0;
      this.#measured = 0;
    }
  }
}

/**
 * How loud a power is heard, from 0 to 1.
 * @param {number} power the mean of the squares
 */
export function levelOf(power) {
  const db = 10 * Math.log10(power);
  return Math.max(0, Math.min(1, (db - SILENT_DB) / (LOUD_DB - SILENT_DB)));
}
