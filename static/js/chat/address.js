// The address of the page. The server has no page for a chat that it does not know yet, so the id of
// such a chat is in the fragment (#), which the server never sees. So is the id of a message.

const STORED = /^\/c\/([0-9a-f-]{36})$/;
const BEGUN = /^#([0-9a-f-]{36})$/;
const TEMPORARY = "#temporary";
const IN_PROJECT = /^#project-([0-9a-f-]{36})$/;
const MESSAGE = /^#m-([0-9a-f-]{36})$/;

export function chatInAddress({ pathname, hash } = location) {
  return pathname.match(STORED)?.[1] ?? hash.match(BEGUN)?.[1] ?? null;
}

/** Whether the page is that of a new temporary chat. */
export function isTemporaryAddress({ hash } = location) {
  return hash === TEMPORARY;
}

/** The project in which the chat of the page of a new chat begins, or null. */
export function projectInAddress({ hash } = location) {
  return hash.match(IN_PROJECT)?.[1] ?? null;
}

export function messageInAddress({ hash } = location) {
  return hash.match(MESSAGE)?.[1] ?? null;
}

/**
 * @param {string | null} chat
 * @param {{isStored?: boolean, isTemporary?: boolean, project?: string | null, message?: string | null}} [options] isTemporary, project: those of a new chat
 */
export function addressOf(chat, { isStored = true, isTemporary = false, project = null, message = null } = {}) {
  if (!chat) return isTemporary ? `/${TEMPORARY}` : project ? `/#project-${project}` : "/";
  if (!isStored) return `/#${chat}`;
  return `/c/${chat}${message ? `#m-${message}` : ""}`;
}
