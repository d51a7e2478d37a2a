// What a draft says, and when two of them are the same text, or one continues the other.

/** @typedef {{text: string, pastes: string[]}} Content */

export const EMPTY = Object.freeze({ text: "", pastes: [] });
/** @param {Content} content */
export const isEmpty = ({ text, pastes }) => text === "" && pastes.length === 0;
/**
 * @param {Content} a
 * @param {Content} b
 */
export const isSame = (a, b) => a.text === b.text && JSON.stringify(a.pastes) === JSON.stringify(b.pastes);

/**
 * Without halves of characters, which the server does not store either: both sides compare what they have.
 * @param {Content | undefined} draft
 */
export function pick(draft) {
  return { text: (draft?.text ?? "").toWellFormed(), pastes: (draft?.pastes ?? []).map((paste) => paste.toWellFormed()) };
}

/**
 * Whether `draft` comes from a page that had something else than `typed` before, so that it continues or empties
 * another text.
 * @param {Content} typed
 * @param {Content & {was?: string}} draft
 */
export function isUnrelated(typed, draft) {
  return !isEmpty(typed) && !isSame(typed, draft) && draft.was !== undefined && draft.was !== markOf(typed);
}

/**
 * A short mark by which pages recognise a draft (FNV-1a; `crypto.subtle` is missing on plain http).
 * @param {Content} content
 */
export function markOf({ text, pastes }) {
  const whole = JSON.stringify([text, pastes]);
  let hash = 0x811c9dc5;
  for (let index = 0; index < whole.length; index++) hash = Math.imul(hash ^ whole.charCodeAt(index), 0x01000193);
  return `${whole.length}-${(hash >>> 0).toString(16)}`;
}
