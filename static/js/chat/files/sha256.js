// SHA-256 of a file. Outside secure contexts (plain http from another host) a browser has no digests, so this
// computes them, in slices between which the page can react.

const BLOCK = 64;
const SLICE_BLOCKS = 16_384;
const PRIMES = firstPrimes(64);
const ROUNDS = Int32Array.from(PRIMES, (prime) => fraction(Math.cbrt(prime)));
const START = Int32Array.from(PRIMES.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));

/**
 * The digest in hexadecimal.
 * @param {ArrayBuffer} data
 * @param {Pick<SubtleCrypto, "digest"> | undefined} subtle
 */
export async function sha256(data, subtle = globalThis.crypto?.subtle) {
  const digest = subtle ? new Uint8Array(await subtle.digest("SHA-256", data)) : await computed(data);
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {ArrayBuffer} data */
async function computed(data) {
  const state = Int32Array.from(START);
  const whole = data.byteLength - (data.byteLength % BLOCK);
  for (let at = 0; at < whole; at += SLICE_BLOCKS * BLOCK) {
    addBlocks(state, new DataView(data, at, Math.min(SLICE_BLOCKS * BLOCK, whole - at)));
    await new Promise((resolve) => setTimeout(resolve));
  }
  addBlocks(state, endOf(data, whole));
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, index) => digest.setInt32(4 * index, word));
  return new Uint8Array(digest.buffer);
}

/**
 * What follows the last whole block: the rest, a one bit, zeros and the length in bits.
 * @param {ArrayBuffer} data
 * @param {number} from
 */
function endOf(data, from) {
  const rest = new Uint8Array(data, from);
  const end = new Uint8Array(rest.length + 9 > BLOCK ? 2 * BLOCK : BLOCK);
  end.set(rest);
  end[rest.length] = 0x80;
  const view = new DataView(end.buffer);
  view.setUint32(end.length - 8, Math.floor(data.byteLength / 0x2000_0000));
  view.setUint32(end.length - 4, (data.byteLength * 8) % 0x1_0000_0000);
  return view;
}

/**
 * @param {Int32Array} state
 * @param {DataView} view
 */
function addBlocks(state, view) {
  const words = new Int32Array(64);
  for (let at = 0; at < view.byteLength; at += BLOCK) {
    for (let index = 0; index < 16; index++) words[index] = view.getInt32(at + 4 * index);
    for (let index = 16; index < 64; index++) {
      const [early, late] = [words[index - 15], words[index - 2]];
      const first = turned(early, 7) ^ turned(early, 18) ^ (early >>> 3);
      const second = turned(late, 17) ^ turned(late, 19) ^ (late >>> 10);
      words[index] = words[index - 16] + first + words[index - 7] + second;
    }
    addBlock(state, words);
  }
}

/**
 * @param {Int32Array} state
 * @param {Int32Array} words
 */
function addBlock(state, words) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let index = 0; index < 64; index++) {
    const first = (h + (turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)) + ((e & f) ^ (~e & g)) + ROUNDS[index] + words[index]) | 0;
    const second = ((turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => (state[index] += word));
}

/**
 * @param {number} word
 * @param {number} by
 */
const turned = (word, by) => (word >>> by) | (word << (32 - by));

/** @param {number} root */
function fraction(root) {
  return ((root % 1) * 0x1_0000_0000) | 0;
}

/** @param {number} count */
function firstPrimes(count) {
  /** @type {number[]} */
  const primes = [];
  for (let one = 2; primes.length < count; one++) if (primes.every((prime) => one % prime !== 0)) primes.push(one);
  return primes;
}
