// Changes the sampling rate of sound that arrives in pieces, by a windowed sinc: frequencies that the new rate cannot
// have are removed first, since they would be heard as noise.

// More zero crossings make the filter steeper, and slower.
const CROSSINGS = 16;
const CUTOFF = 0.94;

export class Resampler {
  /** Input samples for each output sample, as a fraction in lowest terms. */
  #from;
  #to;
  #reach;
  #stretch;
  /** @type {(Float32Array | undefined)[]} the filter for each position between two input samples */
  #filters = [];
  /** Input samples that later output samples need. */
  #kept;
  /** The place of the next output sample, in `1 / #to` of an input sample, from the start of `#kept`. */
  #next;

  /**
   * @param {number} from samples a second
   * @param {number} to
   */
  constructor(from, to) {
    const common = divisor(from, to);
    this.#from = from / common;
    this.#to = to / common;
    this.#stretch = Math.max(1, from / to) / CUTOFF;
    this.#reach = Math.ceil(CROSSINGS * this.#stretch);
    // Silence before the first sample.
    this.#kept = new Float32Array(this.#reach);
    this.#next = this.#reach * this.#to;
  }

  /**
   * The output samples that the input up to now decides.
   * @param {Float32Array} samples
   * @returns {Float32Array}
   */
  take(samples) {
    if (this.#from === this.#to) return samples.slice();
    const input = joined(this.#kept, samples);
    const end = (input.length - this.#reach) * this.#to;
    const made = new Float32Array(Math.max(0, Math.ceil((end - this.#next) / this.#from)));
    for (let index = 0; index < made.length; index++) {
      made[index] = this.#sampleAt(input, this.#next);
      this.#next += this.#from;
    }
    const done = Math.max(0, Math.floor(this.#next / this.#to) - this.#reach);
    this.#kept = input.slice(done);
    this.#next -= done * this.#to;
    return made;
  }

  /** The rest: those at the end, which silence follows. */
  end() {
    return this.take(new Float32Array(this.#from === this.#to ? 0 : this.#reach));
  }

  /**
   * @param {Float32Array} input
   * @param {number} place
   */
  #sampleAt(input, place) {
    const whole = Math.floor(place / this.#to);
    const filter = (this.#filters[place % this.#to] ??= this.#filterAt((place % this.#to) / this.#to));
    let sum = 0;
    for (let index = 0; index < filter.length; index++) sum += filter[index] * (input[whole - this.#reach + 1 + index] ?? 0);
    return sum;
  }

  /** @param {number} part of the way to the next input sample */
  #filterAt(part) {
    const filter = Float32Array.from({ length: 2 * this.#reach }, (_, index) => {
      const at = (index + 1 - this.#reach - part) / this.#stretch;
      return Math.abs(at) < CROSSINGS ? sinc(at) * window(at / CROSSINGS) : 0;
    });
    const sum = filter.reduce((total, weight) => total + weight, 0);
    return filter.map((weight) => weight / sum);
  }
}

/** @param {number} at */
const sinc = (at) => (at === 0 ? 1 : Math.sin(Math.PI * at) / (Math.PI * at));
/** @param {number} at from -1 to 1 (Blackman) */
const window = (at) => 0.42 + 0.5 * Math.cos(Math.PI * at) + 0.08 * Math.cos(2 * Math.PI * at);

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
const divisor = (a, b) => (b === 0 ? a : divisor(b, a % b));

/**
 * @param {Float32Array} first
 * @param {Float32Array} second
 */
function joined(first, second) {
  const both = new Float32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
