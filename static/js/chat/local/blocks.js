// A transcript as it is kept: a head and blocks of messages in the order they were made. What
// changes in a long chat is at its end, so little is written; and few records are read quickly.
import { emptyTranscript, foldEntry, ROOT } from "../fold.js";

export const BLOCK_MESSAGES = 64;
// What a message of this build looks like. What an older fold has kept is dropped and read again.
export const SHAPE = shapeOfMessages();

function shapeOfMessages() {
  const state = emptyTranscript();
  foldEntry(state, "1-0", { type: "message.created", message: "m", role: "user" });
  return `2:${Object.keys(state)}:${Object.keys(state.messages.m)}`;
}

export const blockOf = (position) => Math.floor(position / BLOCK_MESSAGES);

/** All of the transcript but its messages, small enough to be written each time. */
export function headOf(id, transcript, { revision, chars, usedMs }) {
  const { messages, children, chosen, ...own } = transcript;
  const { cursor } = own;
  return { id, shape: SHAPE, own, chosen: { ...chosen }, cursor, count: Object.keys(messages).length, revision, chars, usedMs };
}

/** The transcript, or null if what was kept does not fit together. */
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
