// Sound as WAV: one channel of 16-bit samples, 16,000 a second.

export const RATE = 16_000;
/** The longest sound that the server takes. */
export const MOST_MS = 15 * 60_000;
const BYTES_PER_SAMPLE = 2;
const HEADER_BYTES = 44;
const PCM = 1;

/** @param {number} samples */
export const msOf = (samples) => (samples * 1_000) / RATE;

/** @param {number} bytes of a WAV that `wavOf` made */
export const msOfBytes = (bytes) => msOf(Math.max(0, bytes - HEADER_BYTES) / BYTES_PER_SAMPLE);

/**
 * @param {Int16Array[]} pieces
 * @returns {ArrayBuffer}
 */
export function wavOf(pieces) {
  const count = pieces.reduce((sum, { length }) => sum + length, 0);
  const wav = new ArrayBuffer(HEADER_BYTES + count * BYTES_PER_SAMPLE);
  writeHeader(new DataView(wav), count * BYTES_PER_SAMPLE);
  const samples = new Int16Array(wav, HEADER_BYTES);
  let at = 0;
  for (const piece of pieces) {
    samples.set(piece, at);
    at += piece.length;
  }
  return wav;
}

/**
 * Samples between -1 and 1 as 16-bit samples; louder ones are clipped.
 * @param {Float32Array} samples
 */
export function pcmOf(samples) {
  const pcm = new Int16Array(samples.length);
  for (let at = 0; at < samples.length; at++) pcm[at] = Math.max(-32_768, Math.min(32_767, Math.round(samples[at] * 32_767)));
  return pcm;
}

/**
 * Whether the content is a WAV, whatever is in it.
 * @param {ArrayBuffer} content
 */
export function isWav(content) {
  return content.byteLength >= 12 && wordAt(content, 0) === "RIFF" && wordAt(content, 8) === "WAVE";
}

/**
 * How long a WAV is, or null if its header does not say.
 * @param {ArrayBuffer} content
 */
export function wavMs(content) {
  if (!isWav(content)) return null;
  const view = new DataView(content);
  let bytesPerSecond = 0;
  for (let at = 12; at + 8 <= content.byteLength; ) {
    const bytes = view.getUint32(at + 4, true);
    const name = wordAt(content, at);
    if (name === "fmt " && at + 24 <= content.byteLength) bytesPerSecond = view.getUint32(at + 16, true);
    if (name === "data") return bytesPerSecond > 0 ? (Math.min(bytes, content.byteLength - at - 8) * 1_000) / bytesPerSecond : null;
    // Chunks have an even length.
    at += 8 + bytes + (bytes % 2);
  }
  return null;
}

/**
 * @param {DataView} view
 * @param {number} bytes of the samples
 */
function writeHeader(view, bytes) {
  write(view, 0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  write(view, 8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, PCM, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, RATE * BYTES_PER_SAMPLE, true);
  view.setUint16(32, BYTES_PER_SAMPLE, true);
  view.setUint16(34, 8 * BYTES_PER_SAMPLE, true);
  write(view, 36, "data");
  view.setUint32(40, bytes, true);
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {string} letters
 */
function write(view, at, letters) {
  for (let index = 0; index < letters.length; index++) view.setUint8(at + index, letters.charCodeAt(index));
}

/**
 * @param {ArrayBuffer} content
 * @param {number} at
 */
const wordAt = (content, at) => String.fromCharCode(...new Uint8Array(content, at, 4));
