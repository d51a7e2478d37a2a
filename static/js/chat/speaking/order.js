// Asks the server to read an answer aloud, and waits for the sound.

const ASK_EVERY_MS = 1_000;
// The server notes the end of an answer a moment after the page shows it.
const TRIES = 5;
const NOT_YET = "not_possible_now";

/** @typedef {{speech: string, file: import("../log/fold.js").File, spans: number[][], error?: {message: string}}} SpeechState */

/**
 * The sound, or null once `isWanted` is false. Rejects with the sentence that says why there is none.
 * @param {(method: string) => Promise<SpeechState>} ask
 * @param {{wait: (ms: number) => Promise<void>, isWanted: () => boolean, unanswered: string}} options
 */
export async function orderSpeech(ask, { wait, isWanted, unanswered }) {
  let state = await begin(ask, wait, isWanted, unanswered);
  while (state?.speech === "waiting") {
    await wait(ASK_EVERY_MS);
    if (!isWanted()) return null;
    // Without the network, the next question may be answered.
    state = await ask("GET").catch((error) => (error.status ? Promise.reject(new Error(error.message)) : state));
  }
  if (state?.speech === "done") return isWanted() ? state : null;
  if (!state) return null;
  throw new Error(state.error?.message ?? unanswered);
}

/**
 * @param {(method: string) => Promise<SpeechState>} ask
 * @param {(ms: number) => Promise<void>} wait
 * @param {() => boolean} isWanted
 * @param {string} unanswered
 * @returns {Promise<SpeechState | null>}
 */
async function begin(ask, wait, isWanted, unanswered) {
  for (let tries = 1; ; tries++) {
    try {
      return await ask("POST");
    } catch (error) {
      const { code, status, message } = /** @type {import("../api.js").ApiError} */ (error);
      if (code !== NOT_YET || tries === TRIES) throw new Error(status ? message : unanswered, { cause: error });
    }
    await wait(ASK_EVERY_MS);
    if (!isWanted()) return null;
  }
}
