// The stored form of a transcript: a head, and blocks of messages in the order of their creation. A long chat
// changes at its end, so little is written, and a few records are read quickly.
import { emptyTranscript, foldEntry, isAnswering, ROOT, shownPath } from "../log/fold.js";

export const BLOCK_MESSAGES = 64;
// The head of a chat with at least this many messages contains its last ones, a preview that is shown while
// the rest is read, like the server's (chat/web/preview.py).
const LONG_MESSAGES = 256;
const GLIMPSE_MESSAGES = 12;
const GLIMPSE_CHARS = 16_000;
// The fields of this build's messages. Records with other fields are dropped, and the chat is read again.
export const SHAPE = shapeOfMessages();

function shapeOfMessages() {
  const state = emptyTranscript();
  foldEntry(state, "1-0", { type: "message.created", message: "m", role: "user" });
  return `3:${Object.keys(state)}:${Object.keys(state.messages.m)}`;
}

/** @param {number} position */
export const blockOf = (position) => Math.floor(position / BLOCK_MESSAGES);

/**
 * The transcript without its messages, small enough to be written each time.
 * @param {string} id
 * @param {import("../log/fold.js").Transcript} transcript
 * @param {{revision: string, chars: number, usedMs: number}} kept
 */
export function headOf(id, transcript, { revision, chars, usedMs }) {
  const { messages, children, chosen, ...own } = transcript;
  const { cursor } = own;
  const count = Object.keys(messages).length;
  const glimpse = count < LONG_MESSAGES ? [] : glimpseOf(shownPath(transcript));
  return { id, shape: SHAPE, own, chosen: { ...chosen }, cursor, count, glimpse, revision, chars, usedMs };
}

/**
 * The last shown messages that fit into the limits, without any that is being written.
 * @param {import("../log/fold.js").Message[]} path
 */
function glimpseOf(path) {
  const end = path.findIndex(isAnswering);
  const ended = end < 0 ? path : path.slice(0, end);
  /** @type {import("../log/fold.js").Message[]} */
  const last = [];
  let chars = 0;
  for (const message of ended.slice(-GLIMPSE_MESSAGES).reverse()) {
    chars += message.text.length + message.reasoning.length;
    if (chars > GLIMPSE_CHARS) break;
    last.unshift(message);
  }
  return last;
}

/**
 * The transcript, or null if the stored records do not fit together.
 * @param {ReturnType<typeof headOf>} head
 * @param {import("../log/fold.js").Message[][]} blocks
 * @returns {import("../log/fold.js").Transcript | null}
 */
export function transcriptOf(head, blocks) {
  if (head.shape !== SHAPE) return null;
  const transcript = emptyTranscript();
  const { messages, children } = transcript;
  let count = 0;
  for (const message of blocks.flat()) {
    const { id, parent } = message;
    if (id in messages || (parent !== null && !(parent in messages))) return null;
    messages[id] = message;
    (children[parent ?? ROOT] ??= []).push(id);
    count += 1;
  }
  if (count !== head.count) return null;
  Object.assign(transcript.chosen, head.chosen);
  return Object.assign(transcript, head.own);
}
