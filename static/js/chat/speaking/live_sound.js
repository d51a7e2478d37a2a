// Plays an answer while its model speaks it: the bytes come from the server as they are made, and wait in a ring.
import { signal } from "../../signals.js";
import { leaveTurn, takeTurn } from "../sound/playing.js";

// Samples a second.
const RATE = 24_000;
const SAMPLE_BYTES = 2;
// So much waits here at most; the rest waits on the server.
const MOST_WAITING = RATE * 30;
const LOOK_AGAIN_MS = 200;
const FIRST_PAUSE_MS = 300;
const MOST_PAUSE_MS = 5_000;

/** @typedef {{heard: number, waiting: number, underruns: number, isDone: boolean}} State */

export class LiveSound {
  isPlaying = signal(false);
  /** @type {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<State>} */
  state = signal({ heard: 0, waiting: 0, underruns: 0, isDone: false });
  #context;
  /** @type {AudioWorkletNode | null} */
  #node = null;
  #stopping = new AbortController();
  #sent = 0;
  #listeners;
  #title;

  /**
   * Call it in the click: some browsers play nothing that was created later.
   * @param {string} address of the sound
   * @param {string} title
   * @param {{onEnd: () => void, onBroken: () => void}} listeners
   */
  constructor(address, title, listeners) {
    this.#title = title;
    this.#listeners = listeners;
    this.#context = new AudioContext({ sampleRate: RATE });
    this.#context.onstatechange = () => (this.isPlaying.value = this.#context.state === "running");
    void this.play();
    this.#begin(address).catch(() => this.#stopping.signal.aborted || listeners.onBroken());
  }

  get heardMs() {
    return (this.state.peek().heard * 1_000) / RATE;
  }

  // What the rule that lets one sound be heard at a time uses.

  async play() {
    takeTurn(this, this.#title);
    await this.#context.resume().catch(() => {});
  }

  pause() {
    if (this.#context.state === "running") void this.#context.suspend().catch(() => {});
  }

  /** What comes has no other place yet. */
  get currentTime() {
    return this.heardMs / 1_000;
  }

  set currentTime(_) {}

  /** Let go of it. */
  close() {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    leaveTurn(this);
    void this.#context.close().catch(() => {});
    this.isPlaying.value = false;
  }

  /** @param {string} address */
  async #begin(address) {
    const { address: worklet, NAME } = await import("./ring_worklet.js");
    await this.#context.audioWorklet.addModule(worklet);
    if (this.#stopping.signal.aborted) return;
    const node = new AudioWorkletNode(this.#context, NAME, { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node = node;
    node.port.onmessage = ({ data }) => {
      this.state.value = data;
      if (data.isDone) this.#listeners.onEnd();
    };
    node.connect(this.#context.destination);
    await this.#readAll(address);
    node.port.postMessage(null);
  }

  /** Read to the end; a connection that breaks is made again where it was. @param {string} address */
  async #readAll(address) {
    let pauseMs = FIRST_PAUSE_MS;
    for (;;) {
      const before = this.#sent;
      try {
        if (await this.#read(`${address}?from=${this.#sent * SAMPLE_BYTES}`)) return;
      } catch (error) {
        if (this.#stopping.signal.aborted) throw error;
      }
      pauseMs = this.#sent > before ? FIRST_PAUSE_MS : Math.min(pauseMs * 2, MOST_PAUSE_MS);
      await new Promise((done) => setTimeout(done, pauseMs));
      this.#stopping.signal.throwIfAborted();
    }
  }

  /** Whether the end was reached. @param {string} address */
  async #read(address) {
    const response = await fetch(address, { signal: this.#stopping.signal });
    // The answer, or its sound, was deleted.
    if (response.status === 404) return true;
    if (!response.ok || !response.body) return false;
    const reader = response.body.getReader();
    let rest = new Uint8Array();
    for (;;) {
      await this.#whileFull();
      const { value, done } = await reader.read();
      if (done) return true;
      rest = this.#send(joined(rest, value));
    }
  }

  /** Hands whole samples to the ring; returns half a one. @param {Uint8Array} bytes */
  #send(bytes) {
    const count = Math.floor(bytes.length / SAMPLE_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const samples = Int16Array.from({ length: count }, (_, n) => view.getInt16(n * SAMPLE_BYTES, true));
    this.#sent += count;
    this.#node?.port.postMessage(samples, [samples.buffer]);
    return bytes.slice(count * SAMPLE_BYTES);
  }

  async #whileFull() {
    while (this.#sent - this.state.peek().heard > MOST_WAITING) {
      await new Promise((done) => setTimeout(done, LOOK_AGAIN_MS));
      this.#stopping.signal.throwIfAborted();
    }
  }
}

/**
 * @param {Uint8Array} first
 * @param {Uint8Array} second
 */
function joined(first, second) {
  if (first.length === 0) return second;
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
