// The person's chats, kept live by the watch: created, renamed, deleted, answering now.
import { computed, signal } from "../signals.js";
import { entryTimeMs, isAfter } from "./ids.js";

const ANSWER_ENDS = new Set(["message.completed", "message.error"]);
// The page says only that an answer runs, not which; its end is the next end that comes.
const SOME_ANSWER = "?";
// Frames of several chats read in one go come one after the other; a connection cut between them
// would leave a gap. What is listed here may be told twice, so the watch resumes a little earlier.
const OVERLAP_MS = 5_000;

export class ChatList {
  /** id -> {id, title, updated_ms, model, answering: Set of message ids} */
  chats = signal(new Map());
  /** Newest first, without those being deleted. */
  sorted = computed(() =>
    [...this.chats.value.values()]
      .filter((chat) => !this.#hidden.value.has(chat.id))
      .sort((a, b) => b.updated_ms - a.updated_ms),
  );
  #cursor = null;
  #hidden = signal(new Set());

  constructor(chats, cursor) {
    this.load(chats, cursor);
  }

  load(chats, cursor) {
    const known = this.chats.peek();
    this.chats.value = new Map(chats.map((chat) => [chat.id, listed(chat, known.get(chat.id))]));
    this.#cursor = cursor;
  }

  get(id) {
    return this.chats.value.get(id) ?? null;
  }

  has(id) {
    return this.chats.peek().has(id);
  }

  /** Take in events; those about a message's text never come here or change nothing. */
  apply(chatId, entries) {
    const before = this.chats.peek().get(chatId) ?? null;
    let chat = before;
    for (const [id, data] of entries) chat = applyEvent(chat, chatId, id, data);
    if (chat === before) return;
    const next = new Map(this.chats.peek());
    if (chat) next.set(chatId, chat);
    else next.delete(chatId);
    this.chats.value = next;
  }

  /** Where to watch from after a reconnect. */
  get resumeFrom() {
    if (this.#cursor === null) return "0-0";
    const [ms] = this.#cursor.split("-");
    return `${Math.max(0, Number(ms) - OVERLAP_MS)}-0`;
  }

  /** The watch has been seen up to `cursor`. */
  advance(cursor) {
    if (isAfter(cursor, this.#cursor)) this.#cursor = cursor;
  }

  rename(id, title) {
    const chat = this.chats.peek().get(id);
    if (chat) this.chats.value = new Map(this.chats.peek()).set(id, { ...chat, title });
  }

  hide(id) {
    this.#hidden.value = new Set(this.#hidden.peek()).add(id);
  }

  unhide(id) {
    const hidden = new Set(this.#hidden.peek());
    hidden.delete(id);
    this.#hidden.value = hidden;
  }
}

function listed(chat, known) {
  const answering = chat.answering === undefined && known ? known.answering : new Set(chat.answering ? [SOME_ANSWER] : []);
  return { ...chat, answering };
}

function applyEvent(chat, chatId, id, data) {
  switch (data.type) {
    case "chat.created":
      return chat ?? { id: chatId, title: data.title, model: data.model, updated_ms: entryTimeMs(id), answering: new Set() };
    case "chat.deleted":
      return null;
  }
  if (!chat) return null;
  if (data.type === "chat.renamed") return { ...chat, title: data.title };
  if (data.type === "message.created") {
    const answering = data.role === "assistant" ? with_(chat.answering, data.message) : chat.answering;
    return { ...chat, answering, model: data.model ?? chat.model, updated_ms: Math.max(chat.updated_ms, entryTimeMs(id)) };
  }
  if (data.type === "message.started" || data.type === "message.resumed") {
    return chat.answering.has(data.message) ? chat : { ...chat, answering: with_(chat.answering, data.message) };
  }
  if (ANSWER_ENDS.has(data.type)) return { ...chat, answering: without(chat.answering, data.message) };
  return chat;
}

const with_ = (set, id) => new Set(set).add(id);

function without(set, id) {
  const next = new Set(set);
  next.delete(id);
  next.delete(SOME_ANSWER);
  return next;
}
