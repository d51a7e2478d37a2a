// Sound into text: the server has it transcribed, and this waits for the text.
import { ApiError } from "../api.js";

const FIRST_LOOK_MS = 300;
const LAST_LOOK_MS = 2_000;

/** @typedef {import("../files/upload.js").FileState} FileState */

/**
 * The text of a sound that the server has. Rejects with an ApiError whose message is the reason, "" if there is none,
 * and with the reason of the signal.
 * @param {() => Promise<FileState>} look
 * @param {{signal: AbortSignal, wait?: (ms: number) => Promise<unknown>}} options
 */
export async function transcriptOf(look, { signal, wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms)) }) {
  for (let looks = 0; ; looks++) {
    signal.throwIfAborted();
    const state = await look().catch(unlessPassing);
    signal.throwIfAborted();
    if (state?.transcription === "done") return (state.text ?? "").trim();
    if (state && state.transcription !== "waiting") throw new ApiError({ status: 422, code: state.transcription ?? "none", message: state.error_text ?? "" });
    await wait(Math.min(LAST_LOOK_MS, FIRST_LOOK_MS * 2 ** looks));
  }
}

/**
 * @param {ApiError} error
 * @returns {null}
 */
function unlessPassing(error) {
  if (!error.isRetryable) throw error;
  return null;
}
