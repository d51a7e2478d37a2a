// The outbox as a list of items, without a browser: each function returns the list after a change.

/**
 * A message as it was written.
 * @typedef {object} Written
 * @property {string} id
 * @property {string} chat
 * @property {string} text
 * @property {string | null} model
 * @property {boolean} edit
 * @property {string | null} parent
 * @property {boolean} isNew whether it begins the chat
 * @property {number} createdMs
 */

/**
 * The same in its place in the line.
 * @typedef {Written & Place} Item
 * @typedef {object} Place
 * @property {string | null} after the item it follows in its chat: its parent is then the answer to that one
 * @property {number} tries how often it was sent without an answer
 * @property {string | null} waits the code of the last failure: what it waits for
 * @property {{code: string, message: string} | null} error the server's refusal: the item stays, and those behind it wait
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
 * The next to go out in this chat, or null: none, or the first was refused.
 * @param {Item[]} items
 * @param {string} chat
 */
export function nextOf(items, chat) {
  const [first] = ofChat(items, chat);
  return first && !first.error ? first : null;
}

/**
 * The server has stored it: the item that follows it gets its answer as the parent.
 * @param {Item[]} items
 * @param {string} id
 * @param {string} reply
 */
export function settled(items, id, reply) {
  return without(items, id, (item) => ({ ...item, after: null, parent: reply }));
}

/**
 * It is taken out: the item that follows it takes its place.
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
