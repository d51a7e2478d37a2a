// Runs in the thread of the sound: plays what the page sends, and says how far it is. The page imports this module only
// for its address, which contains the hash of the file. It imports nothing: a bundle would put that into other files.

export const address = import.meta.url;
export const NAME = "spoken";
// A block has 128 samples, so this is about twenty times a second.
const BLOCKS_BETWEEN = 10;

const FIRST_CUSHION_S = 0.25;
const MOST_CUSHION_S = 4;

// Types know the page's scope, not this one.
const scope = /** @type {any} */ (globalThis);

/** Sound that waits to be heard. It begins once there is a cushion, and begins anew after a gap, with a larger one. */
export class Ring {
  /** @type {Int16Array[]} */
  #pieces = [];
  // How much of the first piece was heard.
  #at = 0;
  #isFlowing = false;
  #mostCushion;
  /** How many samples wait. */
  waiting = 0;
  /** How many were heard. */
  heard = 0;
  /** How often there was nothing to hear before the end. */
  underruns = 0;
  isEnded = false;

  /** @param {number} rate samples a second */
  constructor(rate) {
    this.cushion = rate * FIRST_CUSHION_S;
    this.#mostCushion = rate * MOST_CUSHION_S;
  }

  /** @param {Int16Array} samples */
  add(samples) {
    if (samples.length === 0) return;
    this.#pieces.push(samples);
    this.waiting += samples.length;
  }

  /** Everything was added. */
  end() {
    this.isEnded = true;
  }

  get isDone() {
    return this.isEnded && this.waiting === 0;
  }

  /**
   * Fill `out` with what is to be heard now; the rest is silence.
   * @param {Float32Array} out
   */
  fill(out) {
    let filled = 0;
    this.#isFlowing ||= this.waiting >= this.cushion || (this.isEnded && this.waiting > 0);
    while (this.#isFlowing && filled < out.length && this.waiting > 0) {
      const piece = this.#pieces[0];
      const count = Math.min(out.length - filled, piece.length - this.#at);
      for (let n = 0; n < count; n++) out[filled + n] = piece[this.#at + n] / 0x8000;
      filled += count;
      this.#at += count;
      this.waiting -= count;
      if (this.#at === piece.length) {
        this.#pieces.shift();
        this.#at = 0;
      }
    }
    this.heard += filled;
    if (this.#isFlowing && filled < out.length && !this.isEnded) {
      this.#isFlowing = false;
      this.underruns++;
      this.cushion = Math.min(this.cushion * 2, this.#mostCushion);
    }
    out.fill(0, filled);
  }
}

function register() {
  class Spoken extends scope.AudioWorkletProcessor {
    #ring = new Ring(scope.sampleRate);
    #blocks = 0;

    constructor() {
      super();
      /** @param {MessageEvent<Int16Array | null>} event null is the end */
      this.port.onmessage = ({ data }) => (data ? this.#ring.add(data) : this.#ring.end());
    }

    /** @param {unknown} _ @param {Float32Array[][]} outputs the channels of each */
    process(_, [[out]]) {
      this.#ring.fill(out);
      const { heard, waiting, underruns, isDone } = this.#ring;
      if (isDone || ++this.#blocks % BLOCKS_BETWEEN === 0) this.port.postMessage({ heard, waiting, underruns, isDone });
      return !isDone;
    }
  }
  scope.registerProcessor(NAME, Spoken);
}

if (scope.AudioWorkletProcessor) register();
