// The outbox as a list, without a browser: what is in line, what a change does to the rest. An item
// is {id, chat, text, model, edit, parent, after, isNew, createdMs, tries, error}:
//   after   the item it follows in its chat: its parent is then that one's answer
//   isNew   it begins the chat
//   tries   how often it was sent without an answer
//   waits   the code of the last of these: what it waits for
//   error   null, or the server's {code, message}: it stays, and what is behind it waits

const inOrder = (items) => [...items].sort((a, b) => a.createdMs - b.createdMs || (a.id < b.id ? -1 : 1));

export function added(items, item) {
  if (items.some(({ id }) => id === item.id)) return items;
  const last = item.edit ? null : ofChat(items, item.chat).at(-1);
  return inOrder([...items, { ...item, after: last?.id ?? null, isNew: item.isNew && !last, tries: 0, waits: null, error: null }]);
}

export function ofChat(items, chat) {
  return inOrder(items).filter((item) => item.chat === chat);
}

export const chatsOf = (items) => [...new Set(items.map((item) => item.chat))];

/** The next to go out in this chat, or null: none, or the first was refused. */
export function nextOf(items, chat) {
  const [first] = ofChat(items, chat);
  return first && !first.error ? first : null;
}

/** It is stored; what follows it goes below its answer. */
export function settled(items, id, reply) {
  return without(items, id, (item) => ({ ...item, after: null, parent: reply }));
}

/** Taken out of the line: what follows it takes its place. */
export function withdrawn(items, id) {
  const gone = items.find((item) => item.id === id);
  if (!gone) return items;
  const rest = without(items, id, (item) => ({ ...item, after: gone.after, parent: gone.parent }));
  const first = gone.isNew ? ofChat(rest, gone.chat)[0] : null;
  return first ? changed(rest, first.id, { isNew: true }) : rest;
}

export function refused(items, id, { code, message }) {
  return changed(items, id, { error: { code, message } });
}

export const tried = (items, id, waits) =>
  items.map((item) => (item.id === id ? { ...item, tries: item.tries + 1, waits } : item));

/** Give what was refused another try. */
export const retried = (items, id) => changed(items, id, { error: null });

function without(items, id, follow) {
  return items.filter((item) => item.id !== id).map((item) => (item.after === id ? follow(item) : item));
}

function changed(items, id, change) {
  return items.map((item) => (item.id === id ? { ...item, ...change } : item));
}
