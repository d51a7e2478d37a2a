// The draft of each chat: kept in this browser at once and at the server soon after, so that it is
// there after a reload and on the person's other devices. The draft written last wins, but one from
// another page never changes a text that is being written here, nor one that was typed here and that the
// other page did not continue (`was`). Of a temporary chat, this browser stores no draft; before the chat has
// begun, the server stores none either.
import { backoffMs } from "../lib/backoff.js";
import { signal } from "../../signals.js";

/** @typedef {{text: string, pastes: string[]}} Content */
/** @typedef {Content & {isDirty: boolean, atMs: number}} Kept what this browser stores; dirty: the server does not have it yet */
/** @typedef {Content & {chat?: string | null, tab?: string, was?: string, written_ms: number}} Draft in the server's form */
/** @typedef {string | null} ChatId null for a new chat */
/** @typedef {{keepalive?: boolean}} PutOptions */

/** The name of the draft on the page of a new temporary chat. */
const NEW_TEMPORARY = "temporary";
/** @param {boolean} [isTemporary] the draft of a new chat */
export const newPlace = (isTemporary) => (isTemporary ? NEW_TEMPORARY : null);

const PREFIX = "holdfast:draft:";
const STORE_AFTER_MS = 1_000;
const STORE_WITHIN_MS = 5_000;
// The person is still writing for this long after the last key.
const WRITING_MS = 4_000;
// Browsers let 64 kB outlive the page.
const KEEPALIVE_BYTES = 60_000;

const EMPTY = Object.freeze({ text: "", pastes: [] });
/** @param {Content} content */
const isEmpty = ({ text, pastes }) => text === "" && pastes.length === 0;
/**
 * @param {Content} a
 * @param {Content} b
 */
const isSame = (a, b) => a.text === b.text && JSON.stringify(a.pastes) === JSON.stringify(b.pastes);

export class Drafts {
  /** A draft came from another device. */
  arrived = signal(/** @type {{chat: ChatId} | null} */ (null));

  #owner;
  #put;
  #ask;
  #isTemporary;
  #storage;
  #tab;
  #now;
  /** @type {Map<string, Kept>} by key, when the storage keeps nothing, and those of temporary chats */
  #memory = new Map();
  /** @type {Map<ChatId, ReturnType<typeof setTimeout>>} */
  #timers = new Map();
  /** @type {Map<ChatId, number>} */
  #firstMs = new Map();
  /** @type {Map<ChatId, number>} the time of the newest draft from the server that this page knows */
  #seenMs = new Map();
  /** @type {Map<ChatId, boolean>} whether to store it again after the current request */
  #storing = new Map();
  /** @type {Map<ChatId, Content & {written_ms?: number}>} drafts that arrived from other devices before the draft here was stored */
  #waiting = new Map();
  /** @type {Map<ChatId, Kept>} what was typed on this page and not replaced since */
  #typed = new Map();
  /** @type {Map<ChatId, string>} the mark of the draft that this page had in common with the server */
  #base = new Map();
  /** @type {Map<ChatId, number>} the number of failed requests in a row */
  #failures = new Map();
  // Whether this page knows all drafts of the server.
  #isWhole = true;
  /** @type {Set<ChatId>} otherwise the chats whose drafts are known or requested */
  #known = new Set();

  /**
   * @param {object} options
   * @param {() => string} options.owner the owner of the drafts
   * @param {(body: object, options: PutOptions) => Promise<{draft?: Draft} | null>} options.put
   * @param {(chat: ChatId) => Promise<{drafts: Draft[]}>} options.ask
   * @param {(chat: string) => boolean} [options.isTemporary]
   * @param {Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">} [options.storage]
   * @param {string} options.tab a name for this page
   * @param {() => number} [options.now] in ms
   */
  constructor({ owner, put, ask, isTemporary = () => false, storage = safeStorage(), tab, now = Date.now }) {
    this.#owner = owner;
    this.#put = put;
    this.#ask = ask;
    this.#isTemporary = isTemporary;
    this.#storage = storage;
    this.#tab = tab;
    this.#now = now;
  }

  /**
   * Take the drafts that the server put on the page; drafts that the server does not have yet stay. `more`: the
   * server has more drafts.
   * @param {Draft[]} drafts
   */
  load(drafts, more = false) {
    this.#isWhole = !more;
    /** @type {Map<ChatId, Draft>} */
    const there = new Map(drafts.map((draft) => [draft.chat ?? null, draft]));
    this.#known = new Set(there.keys());
    for (const chat of new Set([...this.#chatsHere(), ...there.keys()])) {
      const here = this.#read(chat);
      this.#noteSeen(chat, there.get(chat));
      if (here.isDirty) this.#schedule(chat);
      else if (this.#isWhole || there.has(chat)) this.#write(chat, { ...EMPTY, ...pick(there.get(chat)), isDirty: false, atMs: here.atMs });
    }
  }

  /**
   * The connection was lost: request drafts again when their chats are opened, and that of `chat` now.
   * @param {ChatId} chat
   */
  missedSome(chat) {
    this.#isWhole = false;
    this.#known.clear();
    return this.open(chat);
  }

  /**
   * The chat is opened: request its draft if it is not known here.
   * @param {ChatId} chat
   */
  async open(chat) {
    if (this.#isWhole || this.#known.has(chat) || chat === NEW_TEMPORARY) return;
    this.#known.add(chat);
    const before = this.#read(chat);
    try {
      const { drafts } = await this.#ask(chat);
      if (this.#isOvertaken(chat, before, drafts[0])) return;
      this.#noteSeen(chat, drafts[0]);
      const isJoined = isEmpty(before) && !before.isDirty && this.#joinBegun(chat, drafts[0]);
      if (!isJoined) this.#take(chat, pick(drafts[0]));
    } catch {
      // It is requested again when the chat is opened next.
      this.#known.delete(chat);
    }
  }

  /**
   * The draft of a chat; null: of a new chat.
   * @param {ChatId} chat
   */
  get(chat) {
    return pick(this.#read(chat));
  }

  /**
   * @param {ChatId} chat
   * @param {Content} draft
   */
  set(chat, draft) {
    const content = pick(draft);
    const before = this.#read(chat);
    if (isSame(before, content) && isSame(this.#typed.get(chat) ?? content, content)) return;
    if (!this.#base.has(chat)) this.#base.set(chat, markOf(before));
    this.#keep(chat, content);
  }

  /**
   * The server says that another device has written this draft.
   * @param {Draft} draft
   */
  receive(draft) {
    if (draft.tab === this.#tab) return;
    this.#known.add(draft.chat ?? null);
    this.#noteSeen(draft.chat ?? null, draft);
    this.#take(draft.chat ?? null, draft);
  }

  /**
   * The chat is deleted: remove its draft.
   * @param {ChatId} chat
   */
  forget(chat) {
    clearTimeout(this.#timers.get(chat));
    this.#typed.delete(chat);
    this.#memory.delete(this.#key(chat));
    this.#storage.removeItem(this.#key(chat));
  }

  /**
   * Store all waiting drafts now: the page is left, or the network is back.
   * @param {PutOptions} [options]
   */
  flush(options) {
    return Promise.all(this.#chatsHere().filter((chat) => chat !== NEW_TEMPORARY && this.#read(chat).isDirty).map((chat) => this.#store(chat, options)));
  }

  /**
   * The visitor has become an account: move the drafts to it.
   * @param {string} before
   * @param {string} owner
   */
  rename(before, owner) {
    for (const key of this.#keys(before)) {
      this.#storage.setItem(key.replace(`:${before}:`, `:${owner}:`), this.#storage.getItem(key) ?? "");
      this.#storage.removeItem(key);
    }
    for (const [key, draft] of this.#memory) this.#memory.set(key.replace(`:${before}:`, `:${owner}:`), draft);
  }

  /**
   * Erase the drafts of everybody but `owner`; without one, all of them.
   * @param {string | null} owner
   */
  erase(owner = null) {
    for (const key of this.#keys()) if (!owner || !key.startsWith(`${PREFIX}${owner}:`)) this.#storage.removeItem(key);
    if (owner) return;
    this.#memory.clear();
    this.#typed.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  /**
   * @param {ChatId} chat
   * @param {Content & {written_ms?: number}} draft
   */
  #take(chat, draft) {
    // A later one came during the pause. Timers of one moment may run in any order, here and in other tabs.
    if ((draft.written_ms ?? Infinity) < (this.#seenMs.get(chat) ?? 0)) return;
    const typed = this.#typed.get(chat) ?? EMPTY;
    if (isUnrelated(typed, draft)) {
      // Another page has sent another text: store again what was typed here.
      if (isEmpty(draft)) this.#keep(chat, typed);
      return;
    }
    const here = this.#read(chat);
    if (isSame(here, draft)) return this.#show(chat); // Another tab of this browser has stored it first.
    if (here.isDirty) return void this.#waiting.set(chat, draft);
    const restMs = here.atMs + WRITING_MS - this.#now();
    if (restMs > 0) {
      // Try again after a pause in writing. If the person has written more by then, the draft here is newer; if
      // another tab has taken an emptied draft, there is none.
      setTimeout(() => this.#read(chat).atMs <= here.atMs && this.#take(chat, draft), restMs);
      return;
    }
    this.#write(chat, { ...pick(draft), isDirty: false, atMs: here.atMs });
    this.#show(chat);
  }

  /** @param {ChatId} chat */
  #show(chat) {
    const shown = this.#read(chat);
    if (!isSame(this.#typed.get(chat) ?? EMPTY, shown)) this.#typed.delete(chat);
    this.#share(chat, shown);
    this.arrived.value = { chat };
  }

  /**
   * The server has what was typed here.
   * @param {ChatId} chat
   */
  #clean(chat) {
    const typed = this.#typed.get(chat);
    if (typed) this.#typed.set(chat, { ...typed, isDirty: false });
  }

  /**
   * The server has `content`, which this page shows, unless another tab has typed it over the text of this one.
   * @param {ChatId} chat
   * @param {Content} content
   */
  #share(chat, content) {
    if (isSame(this.#typed.get(chat) ?? content, content)) this.#base.set(chat, markOf(content));
  }

  /**
   * @param {ChatId} chat
   * @param {Content} content
   */
  #keep(chat, content) {
    const kept = { ...content, isDirty: true, atMs: this.#now() };
    this.#typed.set(chat, kept);
    this.#write(chat, kept);
    this.#schedule(chat);
  }

  /**
   * Whether the requested `draft` is older than the draft that this page has stored since.
   * @param {ChatId} chat
   * @param {Kept} before
   * @param {Draft | undefined} draft
   */
  #isOvertaken(chat, before, draft) {
    if (draft) return draft.written_ms < (this.#seenMs.get(chat) ?? 0);
    return before.isDirty || this.#read(chat).atMs !== before.atMs;
  }

  /**
   * Append text that was begun here while the draft was requested, so that neither is lost.
   * @param {ChatId} chat
   * @param {Draft | undefined} draft
   */
  #joinBegun(chat, draft) {
    const here = this.#read(chat);
    if (!draft || isEmpty(here) || isSame(here, draft)) return false;
    const text = [draft.text, here.text].filter(Boolean).join("\n\n");
    this.set(chat, { text, pastes: [...draft.pastes, ...here.pastes] });
    this.arrived.value = { chat };
    return true;
  }

  /** @param {ChatId} chat */
  #schedule(chat) {
    if (chat === NEW_TEMPORARY) return;
    const first = this.#firstMs.get(chat) ?? this.#now();
    this.#firstMs.set(chat, first);
    clearTimeout(this.#timers.get(chat));
    const delayMs = Math.max(0, Math.min(STORE_AFTER_MS, first + STORE_WITHIN_MS - this.#now()));
    this.#timers.set(chat, setTimeout(() => this.#store(chat), delayMs));
  }

  /**
   * Store a draft, one request at a time, so that none overtakes another; at once when the page is left.
   * @param {ChatId} chat
   * @param {PutOptions} options
   */
  async #store(chat, options = {}) {
    if (this.#storing.has(chat) && !options.keepalive) return void this.#storing.set(chat, true);
    this.#storing.set(chat, false);
    try {
      await this.#putAway(chat, options);
    } finally {
      const again = this.#storing.get(chat);
      this.#storing.delete(chat);
      if (again && this.#read(chat).isDirty) this.#schedule(chat);
    }
  }

  /**
   * @param {ChatId} chat
   * @param {PutOptions} options
   */
  async #putAway(chat, { keepalive = false }) {
    clearTimeout(this.#timers.get(chat));
    this.#firstMs.delete(chat);
    // Another tab of this browser may have kept its own text since.
    const typed = this.#typed.get(chat);
    const stored = typed?.isDirty ? typed : this.#read(chat);
    const size = stored.text.length + stored.pastes.join("").length;
    const age_ms = Math.max(0, this.#now() - stored.atMs);
    const body = { chat, ...pick(stored), age_ms, seen_ms: this.#seenMs.get(chat) ?? null, tab: this.#tab, was: this.#base.get(chat) };
    let response;
    try {
      response = await this.#put(body, { keepalive: keepalive && 3 * size < KEEPALIVE_BYTES });
    } catch (error) {
      this.#wasNotStored(chat, /** @type {import("../api.js").ApiError} */ (error));
      return;
    }
    this.#wasStored(chat, stored, response?.draft);
  }

  /**
   * The draft stays here and is stored later: soon if the server failed, otherwise with the next flush,
   * because the server may not know the chat yet. The draft of a deleted chat stays until the page is
   * left, but is not sent again.
   * @param {ChatId} chat
   * @param {import("../api.js").ApiError} error
   */
  #wasNotStored(chat, error) {
    if (error.code === "chat_not_found") {
      this.#clean(chat);
      this.#write(chat, { ...this.#read(chat), isDirty: false });
    }
    if (error.isRetryable) this.#tryLater(chat);
  }

  /**
   * `kept` is the server's draft after the request: `stored`, or a later draft from another device.
   * @param {ChatId} chat
   * @param {Kept} stored
   * @param {Draft | undefined} kept
   */
  #wasStored(chat, stored, kept) {
    this.#failures.delete(chat);
    this.#noteSeen(chat, kept);
    if (this.#typed.get(chat) === stored) this.#clean(chat);
    this.#share(chat, stored);
    const now = this.#read(chat);
    if (now.atMs !== stored.atMs || !isSame(now, stored)) return;
    this.#write(chat, { ...stored, isDirty: false });
    // Another device may have replaced it before this response came.
    const later = this.#waiting.get(chat);
    this.#waiting.delete(chat);
    const last = (later?.written_ms ?? 0) > (kept?.written_ms ?? 0) ? later : kept;
    if (last && !isSame(last, stored)) this.#take(chat, last);
  }

  /** @param {ChatId} chat */
  #tryLater(chat) {
    const failures = this.#failures.get(chat) ?? 0;
    this.#failures.set(chat, failures + 1);
    clearTimeout(this.#timers.get(chat));
    this.#timers.set(chat, setTimeout(() => this.#read(chat).isDirty && this.#store(chat), backoffMs(failures)));
  }

  /**
   * @param {ChatId} chat
   * @param {Draft | undefined} draft
   */
  #noteSeen(chat, draft) {
    if (draft && draft.written_ms > (this.#seenMs.get(chat) ?? 0)) this.#seenMs.set(chat, draft.written_ms);
  }

  /**
   * @param {ChatId} chat
   * @returns {Kept}
   */
  #read(chat) {
    const key = this.#key(chat);
    try {
      const found = this.#storage.getItem(key);
      if (found) return { ...EMPTY, ...JSON.parse(found) };
    } catch {
      // The storage is forbidden: see below.
    }
    return this.#memory.get(key) ?? { ...EMPTY, isDirty: false, atMs: 0 };
  }

  /**
   * @param {ChatId} chat
   * @param {Kept} draft
   */
  #write(chat, draft) {
    const key = this.#key(chat);
    if (!draft.isDirty) this.#share(chat, draft);
    this.#memory.delete(key);
    if (chat && (chat === NEW_TEMPORARY || this.#isTemporary(chat))) return void this.#memory.set(key, draft);
    try {
      // An emptied draft stays until the server has it.
      if (isEmpty(draft) && !draft.isDirty) this.#storage.removeItem(key);
      else this.#storage.setItem(key, JSON.stringify(draft));
    } catch {
      this.#memory.set(key, draft);
    }
  }

  /** @param {ChatId} chat */
  #key(chat) {
    return `${PREFIX}${this.#owner()}:${chat ?? "new"}`;
  }

  /** @param {string | null} owner */
  #keys(owner = null) {
    const prefix = owner ? `${PREFIX}${owner}:` : PREFIX;
    const keys = Array.from({ length: this.#storage.length }, (_, index) => this.#storage.key(index) ?? "");
    return keys.filter((key) => key.startsWith(prefix));
  }

  #chatsHere() {
    const keys = [...this.#keys(this.#owner()), ...this.#memory.keys()];
    return [...new Set(keys)].map((key) => key.slice(key.lastIndexOf(":") + 1)).map((chat) => (chat === "new" ? null : chat));
  }
}

/**
 * Without halves of characters, which the server does not store either: both sides compare what they have.
 * @param {Content | undefined} draft
 */
function pick(draft) {
  return { text: (draft?.text ?? "").toWellFormed(), pastes: (draft?.pastes ?? []).map((paste) => paste.toWellFormed()) };
}

/**
 * Whether `draft` comes from a page that had something else than `typed` before, so that it continues or empties
 * another text.
 * @param {Content} typed
 * @param {Content & {was?: string}} draft
 */
function isUnrelated(typed, draft) {
  return !isEmpty(typed) && !isSame(typed, draft) && draft.was !== undefined && draft.was !== markOf(typed);
}

/**
 * A short mark by which pages recognise a draft (FNV-1a; `crypto.subtle` is missing on plain http).
 * @param {Content} content
 */
function markOf({ text, pastes }) {
  const whole = JSON.stringify([text, pastes]);
  let hash = 0x811c9dc5;
  for (let index = 0; index < whole.length; index++) hash = Math.imul(hash ^ whole.charCodeAt(index), 0x01000193);
  return `${whole.length}-${(hash >>> 0).toString(16)}`;
}

/** If storage is forbidden, drafts last as long as the page. */
function safeStorage() {
  try {
    return globalThis.localStorage ?? NOTHING;
  } catch {
    return NOTHING;
  }
}

const NOTHING = {
  length: 0,
  key: () => null,
  getItem: () => null,
  setItem() {
    throw new Error("nothing is kept");
  },
  removeItem() {},
};
