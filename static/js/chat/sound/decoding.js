// Decodes sound into the WAV that the server wants beside other formats. The browser decodes beside the page; the
// rest is done in slices between which the page can react.
import { isWav, MOST_MS, pcmOf, RATE, wavOf } from "./wav.js";

const SLICE = 10 * RATE;
const NEARLY_MS = 1_000;
const MEASURED_WITHIN_MS = 5_000;
// A browser does not know how long some recordings are before it has decoded them, which takes memory.
const MOST_UNKNOWN_BYTES = 15_000_000;

/**
 * Resolves to null for a WAV, and for what is too long or cannot be decoded.
 * @param {ArrayBuffer} content
 * @returns {Promise<ArrayBuffer | null>}
 */
export async function decodedWav(content) {
  if (isWav(content)) return null;
  const ms = await measuredMs(content);
  if (ms === null ? content.byteLength > MOST_UNKNOWN_BYTES : ms > MOST_MS + NEARLY_MS) return null;
  try {
    // It takes the content away, so it gets a copy.
    const sound = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(content.slice(0));
    return sound.duration * 1_000 > MOST_MS + NEARLY_MS ? null : wavOf(await mixed(sound));
  } catch {
    return null;
  }
}

/**
 * All channels as one.
 * @param {AudioBuffer} sound
 */
async function mixed(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, index) => sound.getChannelData(index));
  const pieces = [];
  for (let from = 0; from < sound.length; from += SLICE) {
    const slices = channels.map((channel) => channel.subarray(from, from + SLICE));
    pieces.push(pcmOf(slices.length === 1 ? slices[0] : meanOf(slices)));
    await new Promise((resolve) => setTimeout(resolve));
  }
  return pieces;
}

/** @param {Float32Array[]} slices */
function meanOf(slices) {
  const mean = new Float32Array(slices[0].length);
  for (const slice of slices) for (let at = 0; at < mean.length; at++) mean[at] += slice[at] / slices.length;
  return mean;
}

/**
 * How long the browser says that it is, without decoding it; null if it does not say.
 * @param {ArrayBuffer} content
 * @returns {Promise<number | null>}
 */
function measuredMs(content) {
  const address = URL.createObjectURL(new Blob([content]));
  const audio = new Audio();
  /** @type {Promise<number | null>} */
  const measured = new Promise((resolve) => {
    audio.onloadedmetadata = () => resolve(Number.isFinite(audio.duration) ? audio.duration * 1_000 : null);
    audio.onerror = () => resolve(null);
    setTimeout(() => resolve(null), MEASURED_WITHIN_MS);
    audio.preload = "metadata";
    audio.src = address;
  });
  return measured.finally(() => {
    audio.removeAttribute("src");
    URL.revokeObjectURL(address);
  });
}
