// The send queue as a list of items, without a browser: each function returns the list after a change.

/**
 * A message as it was written.
 * @typedef {object} Written
 * @property {string} id
 * @property {string} chat
 * @property {string} text
 * @property {string | null} model
 * @property {boolean} edit
 * @property {string | null} parent
 * @property {boolean} isNew whether the message begins the chat
 * @property {boolean} [temporary] whether the chat is a temporary one
 * @property {string | null} [project] the project in which the chat begins
 * @property {SentFile[]} [files]
 * @property {number} createdMs
 */

/** @typedef {import("../log/fold.js").File & {isSent?: boolean}} SentFile `isSent`: the chat has it already */

/**
 * A message with its state in the queue.
 * @typedef {Written & Place} Item
 * @typedef {object} Place
 * @property {string | null} after the previous item of its chat; the answer to that one becomes its parent
 * @property {number} tries how often it was sent without a response
 * @property {string | null} waits the code of the last failure, which it waits for
 * @property {{code: string, message: string} | null} error the server's refusal; the item stays, and the items behind it wait
 */

/** @param {Item[]} items */
const inOrder = (items) => [...items].sort((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));

/**
 * @param {Item[]} items
 * @param {Written} item
 */
export function added(items, item) {
  if (items.some(({ id }) => id === item.id)) return items;
  const last = item.edit ? null : ofChat(items, item.chat).at(-1);
  return inOrder([...items, { ...item, after: last?.id ?? null, isNew: item.isNew && !last, tries: 0, waits: null, error: null }]);
}

/**
 * @param {Item[]} items
 * @param {string} chat
 */
export function ofChat(items, chat) {
  return inOrder(items).filter((item) => item.chat === chat);
}

/** @param {Item[]} items */
export const chatsOf = (items) => [...new Set(items.map((item) => item.chat))];

/**
 * The next item to send in this chat; null if there is none or the first was refused.
 * @param {Item[]} items
 * @param {string} chat
 */
export function nextOf(items, chat) {
  const [first] = ofChat(items, chat);
  return first && !first.error ? first : null;
}

/**
 * The server has stored the item: the next one gets its answer as the parent.
 * @param {Item[]} items
 * @param {string} id
 * @param {string} reply
 */
export function settled(items, id, reply) {
  return without(items, id, (item) => ({ ...item, after: null, parent: reply }));
}

/**
 * The item is withdrawn: the next one takes its place.
 * @param {Item[]} items
 * @param {string} id
 */
export function withdrawn(items, id) {
  const gone = items.find((item) => item.id === id);
  if (!gone) return items;
  const rest = without(items, id, (item) => ({ ...item, after: gone.after, parent: gone.parent }));
  const first = gone.isNew ? ofChat(rest, gone.chat)[0] : null;
  return first ? changed(rest, first.id, { isNew: true }) : rest;
}

/**
 * @param {Item[]} items
 * @param {string} id
 * @param {{code: string, message: string}} error
 */
export function refused(items, id, { code, message }) {
  return changed(items, id, { error: { code, message } });
}

/**
 * @param {Item[]} items
 * @param {string} id
 * @param {string} waits
 */
export const tried = (items, id, waits) =>
  items.map((item) => (item.id === id ? { ...item, tries: item.tries + 1, waits } : item));

/**
 * Let an item that was refused be sent again.
 * @param {Item[]} items
 * @param {string} id
 */
export const retried = (items, id) => changed(items, id, { error: null });

/**
 * @param {Item[]} items
 * @param {string} id
 * @param {(item: Item) => Item} follow
 */
function without(items, id, follow) {
  return items.filter((item) => item.id !== id).map((item) => (item.after === id ? follow(item) : item));
}

/**
 * @param {Item[]} items
 * @param {string} id
 * @param {Partial<Item>} change
 */
function changed(items, id, change) {
  return items.map((item) => (item.id === id ? { ...item, ...change } : item));
}
