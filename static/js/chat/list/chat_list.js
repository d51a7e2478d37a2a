// The person's chats and their state, updated by the watch. Long lists are loaded page by page;
// `onUnknown` fetches a chat that is not loaded yet when an event arrives for it.
import { computed, signal } from "../../signals.js";
import { entryTimeMs, isAfter } from "../lib/ids.js";

/**
 * @typedef {object} Chat
 * @property {string} id
 * @property {string} title
 * @property {string | null} model
 * @property {number} updated_ms
 * @property {Set<string>} answering ids of the answers that are being written
 * @property {number | null} pinned_ms
 * @property {number | null} archived_ms
 * @property {number | null} deleted_ms
 * @property {number} ended_ms the time when the last answer ended
 * @property {number} read_ms the time up to which it has been read
 * @property {string | null} [project] the id of its project, which may have been deleted
 * @property {boolean} [temporary] it is in no list, and this browser stores nothing of it
 */

/** @typedef {Omit<Chat, "answering"> & {answering?: boolean}} ChatRow in the server's form */
/** @typedef {[id: string, data: import("../log/fold.js").EventData]} Entry */

const ANSWER_ENDS = new Set(["message.completed", "message.error"]);
// The server's list says only that an answer is being written, not which one, so the next end counts as its end.
const SOME_ANSWER = "?";
// Frames of several chats that were read at once arrive one after the other, and a connection that is lost
// between them would leave a gap. Applying an event twice is harmless, so the watch resumes a little earlier.
const OVERLAP_MS = 5_000;
const EMPTY_ROW = { project: null, pinned_ms: null, archived_ms: null, deleted_ms: null, ended_ms: 0, read_ms: 0 };
// Events that cause a chat to be fetched if it is not in the list.
const TELLING = new Set(["chat.kept", "chat.renamed", "chat.pinned", "chat.archived", "chat.moved", "chat.restored", "message.created", "message.completed", "message.error"]);

const START_TITLE_CHARS = 60;

/**
 * The first words of a chat's first message, without the fences of pasted texts, as the server shortens them (chat/sending/sends.py).
 * @param {string} content
 */
export function startTitle(content) {
  const line = (content.replace(/^`{3,}(?:pasted)?$/gm, "").trim() || content.trim()).replace(/\s+/g, " ");
  const characters = Array.from(line);
  if (characters.length <= START_TITLE_CHARS) return line;
  const start = characters.slice(0, START_TITLE_CHARS).join("");
  const cut = start.lastIndexOf(" ");
  return `${cut > 0 ? start.slice(0, cut) : start}…`;
}

export class ChatList {
  /** By id. */
  chats = signal(/** @type {Map<string, Chat>} */ (new Map()));
  /** The chats that are neither archived nor deleted, newest first. */
  sorted = computed(() => this.#view((chat) => !chat.deleted_ms && !chat.archived_ms, "updated_ms"));
  archived = computed(() => this.#view((chat) => !chat.deleted_ms && Boolean(chat.archived_ms), "updated_ms"));
  deleted = computed(() => this.#view((chat) => Boolean(chat.deleted_ms), "deleted_ms"));
  /** The cursor of the next page of each view; null at its end, undefined before its first page. */
  next = signal(/** @type {Record<string, string | null | undefined>} */ ({ open: null, archived: undefined, deleted: undefined }));
  /** @type {string | null} */
  #cursor = null;
  #onUnknown;

  /**
   * @param {ChatRow[]} chats
   * @param {string | null} cursor
   * @param {string | null} next
   * @param {(id: string) => void} onUnknown
   */
  constructor(chats, cursor, next = null, onUnknown = () => {}) {
    this.#onUnknown = onUnknown;
    this.load(chats, cursor, next);
  }

  /**
   * Replace the list with its first page; the other chats are loaded again with later pages.
   * @param {ChatRow[]} chats
   * @param {string | null} cursor
   * @param {string | null} [next]
   */
  load(chats, cursor, next = null) {
    const known = this.chats.peek();
    this.chats.value = new Map(chats.map((chat) => [chat.id, listed(chat, known.get(chat.id))]));
    this.next.value = { open: next, archived: undefined, deleted: undefined };
    this.#cursor = cursor;
  }

  /**
   * Add a later page of a view.
   * @param {string} view
   * @param {ChatRow[]} chats
   * @param {string | null} next
   */
  add(view, chats, next) {
    this.put(chats);
    this.next.value = { ...this.next.peek(), [view]: next };
  }

  /** @param {ChatRow[]} chats */
  put(chats) {
    const all = new Map(this.chats.peek());
    for (const chat of chats) all.set(chat.id, listed(chat, all.get(chat.id)));
    this.chats.value = all;
  }

  /**
   * Remove a chat that the server never had.
   * @param {string} id
   */
  drop(id) {
    const rest = new Map(this.chats.peek());
    if (rest.delete(id)) this.chats.value = rest;
  }

  /** @param {string} id */
  get(id) {
    return this.chats.value.get(id) ?? null;
  }

  /** @param {string} id */
  has(id) {
    return this.chats.peek().has(id);
  }

  /** The list in the form of the server's, to be shown offline. */
  snapshot() {
    const chats = [...this.chats.peek().values()].filter((chat) => !chat.temporary).map((chat) => ({ ...chat, answering: chat.answering.size > 0 }));
    return { chats, cursor: this.#cursor, chats_next: this.next.peek().open };
  }

  /**
   * Apply events; those about a message's text never arrive here or change nothing.
   * @param {string} chatId
   * @param {Entry[]} entries
   */
  apply(chatId, entries) {
    const before = this.chats.peek().get(chatId) ?? null;
    let chat = before;
    for (const [id, data] of entries) chat = applyEvent(chat, chatId, id, data);
    if (!chat && entries.some(([, data]) => TELLING.has(data.type))) this.#onUnknown(chatId);
    if (!chat || chat === before) return;
    this.chats.value = new Map(this.chats.peek()).set(chatId, chat);
  }

  /** The entry id to resume the watch from after a reconnect. */
  get resumeFrom() {
    if (this.#cursor === null) return "0-0";
    const [ms] = this.#cursor.split("-");
    return `${Math.max(0, Number(ms) - OVERLAP_MS)}-0`;
  }

  /**
   * The watch has been read up to `cursor`.
   * @param {string} cursor
   */
  advance(cursor) {
    if (isAfter(cursor, this.#cursor)) this.#cursor = cursor;
  }

  /**
   * Show a change before the log has confirmed it; returns a function that undoes it.
   * @param {string} id
   * @param {Partial<Chat>} change
   */
  set(id, change) {
    const chat = this.chats.peek().get(id);
    if (!chat) return () => {};
    const before = /** @type {Partial<Chat>} */ (Object.fromEntries(Object.keys(change).map((name) => [name, chat[/** @type {keyof Chat} */ (name)]])));
    this.chats.value = new Map(this.chats.peek()).set(id, { ...chat, ...change });
    return () => this.set(id, before);
  }

  /**
   * @param {(chat: Chat) => boolean} belongs
   * @param {"updated_ms" | "deleted_ms"} order
   */
  #view(belongs, order) {
    return [...this.chats.value.values()].filter((chat) => !chat.temporary && belongs(chat)).sort((a, b) => Number(b[order]) - Number(a[order]));
  }
}

/**
 * Whether an answer has ended since the owner last looked.
 * @param {Chat} chat
 */
export const isUnread = (chat) => chat.ended_ms > chat.read_ms;

/**
 * @param {ChatRow} chat
 * @param {Chat | undefined} known
 */
function listed(chat, known) {
  const answering = chat.answering === undefined && known ? known.answering : new Set(chat.answering ? [SOME_ANSWER] : []);
  return { ...EMPTY_ROW, ...chat, answering };
}

/**
 * @param {Chat | null} chat
 * @param {string} chatId
 * @param {string} id
 * @param {import("../log/fold.js").EventData} data
 */
function applyEvent(chat, chatId, id, data) {
  const ms = entryTimeMs(id);
  if (data.type === "chat.created") return chat ?? begun(chatId, ms, data);
  if (!chat) return null;
  switch (data.type) {
    case "chat.kept":
      return chat.temporary ? { ...chat, title: data.title, temporary: false } : chat;
    case "chat.renamed":
      return chat.title === data.title ? chat : { ...chat, title: data.title };
    case "chat.pinned":
      return Boolean(chat.pinned_ms) === data.pinned ? chat : { ...chat, pinned_ms: data.pinned ? ms : null };
    case "chat.archived":
      return Boolean(chat.archived_ms) === data.archived ? chat : { ...chat, archived_ms: data.archived ? ms : null };
    case "chat.moved":
      return moved(chat, data.project || null);
    case "chat.deleted":
      return chat.deleted_ms ? chat : { ...chat, deleted_ms: ms, answering: new Set() };
    case "chat.restored":
      return chat.deleted_ms ? { ...chat, deleted_ms: null } : chat;
    case "chat.read":
      return data.until_ms > chat.read_ms ? { ...chat, read_ms: data.until_ms } : chat;
    default:
      return applyMessageEvent(chat, ms, data);
  }
}

/**
 * @param {Chat} chat
 * @param {string | null} project
 */
const moved = (chat, project) => ((chat.project ?? null) === project ? chat : { ...chat, project });

/**
 * @param {string} id
 * @param {number} ms
 * @param {import("../log/fold.js").EventData} data
 * @returns {Chat}
 */
function begun(id, ms, { title, model, temporary, project }) {
  return { ...EMPTY_ROW, id, title, model, project: project ?? null, updated_ms: ms, answering: new Set(), temporary: temporary === true };
}

/**
 * @param {Chat} chat
 * @param {number} ms
 * @param {import("../log/fold.js").EventData} data
 */
function applyMessageEvent(chat, ms, data) {
  if (data.type === "message.created") {
    const answering = data.role === "assistant" ? withId(chat.answering, data.message) : chat.answering;
    return { ...chat, answering, model: data.model ?? chat.model, updated_ms: Math.max(chat.updated_ms, ms) };
  }
  if (data.type === "message.started" || data.type === "message.resumed")
    return chat.answering.has(data.message) ? chat : { ...chat, answering: withId(chat.answering, data.message) };
  if (!ANSWER_ENDS.has(data.type)) return chat;
  const answering = withoutId(chat.answering, data.message);
  // The answer was cancelled before it began, so there is nothing to read; other answers may still be running.
  if (data.bill?.attempt === 0) return { ...chat, answering };
  answering.delete(SOME_ANSWER);
  return { ...chat, answering, ended_ms: Math.max(chat.ended_ms, ms) };
}

/**
 * @param {Set<string>} set
 * @param {string} id
 */
const withId = (set, id) => new Set(set).add(id);

/**
 * @param {Set<string>} set
 * @param {string} id
 */
function withoutId(set, id) {
  const next = new Set(set);
  next.delete(id);
  return next;
}
