// The draft of each chat: kept in this browser at once and at the server soon after, so that it is
// there after a reload and on the person's other devices. The draft written last wins, but one from
// another page never changes a text that is being written here, nor one that was typed here and that the
// other page did not continue (`was`). Of a temporary chat, this browser stores no draft; before the chat has
// begun, the server stores none either.
import { backoffMs } from "../lib/backoff.js";
import { DraftStore, NEW_TEMPORARY } from "../local/draft_store.js";
import { signal } from "../../signals.js";
import { EMPTY, isEmpty, isSame, isUnrelated, markOf, pick } from "./draft_content.js";

/** @typedef {import("./draft_content.js").Content} Content */
/** @typedef {import("../local/draft_store.js").Kept} Kept */
/** @typedef {import("../local/draft_store.js").ChatId} ChatId */
/** @typedef {Content & {chat?: string | null, tab?: string, was?: string, written_ms: number}} Draft in the server's form */
/** @typedef {{keepalive?: boolean}} PutOptions */

/** @param {boolean} [isTemporary] the draft of a new chat */
export const newPlace = (isTemporary) => (isTemporary ? NEW_TEMPORARY : null);

const STORE_AFTER_MS = 1_000;
const STORE_WITHIN_MS = 5_000;
// The person is still writing for this long after the last key.
const WRITING_MS = 4_000;
// Browsers let 64 kB outlive the page.
const KEEPALIVE_BYTES = 60_000;

export class Drafts {
  /** A draft came from another device. */
  arrived = signal(/** @type {{chat: ChatId} | null} */ (null));

  #kept;
  #put;
  #ask;
  #tab;
  #now;
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
  /** @type {Map<ChatId, Set<string>>} the marks of drafts that continue the one here and wait for a pause in writing */
  #pausing = new Map();
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
  constructor({ owner, put, ask, isTemporary, storage, tab, now = Date.now }) {
    this.#kept = new DraftStore({ owner, isTemporary, storage });
    this.#put = put;
    this.#ask = ask;
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
    for (const chat of new Set([...this.#kept.chats(), ...there.keys()])) {
      const here = this.#kept.read(chat);
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
    const before = this.#kept.read(chat);
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
    return pick(this.#kept.read(chat));
  }

  /**
   * @param {ChatId} chat
   * @param {Content} draft
   */
  set(chat, draft) {
    const content = pick(draft);
    const before = this.#kept.read(chat);
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
    this.#kept.remove(chat);
  }

  /**
   * Store all waiting drafts now: the page is left, or the network is back.
   * @param {PutOptions} [options]
   */
  flush(options) {
    return Promise.all(this.#kept.chats().filter((chat) => chat !== NEW_TEMPORARY && this.#kept.read(chat).isDirty).map((chat) => this.#store(chat, options)));
  }

  /**
   * The visitor has become an account: move the drafts to it.
   * @param {string} before
   * @param {string} owner
   */
  rename(before, owner) {
    this.#kept.rename(before, owner);
  }

  /**
   * Erase the drafts of everybody but `owner`; without one, all of them.
   * @param {string | null} owner
   */
  erase(owner = null) {
    this.#kept.erase(owner);
    if (owner) return;
    this.#typed.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  /**
   * @param {ChatId} chat
   * @param {Content & {written_ms?: number, was?: string}} draft
   */
  #take(chat, draft) {
    // A later one came during the pause. Timers of one moment may run in any order, here and in other tabs.
    if ((draft.written_ms ?? Infinity) < (this.#seenMs.get(chat) ?? 0)) return;
    const typed = this.#typed.get(chat) ?? EMPTY;
    if (isUnrelated(typed, draft) && !this.#pausing.get(chat)?.has(draft.was ?? "")) {
      // Another page has sent another text: store again what was typed here.
      if (isEmpty(draft)) this.#keep(chat, typed);
      return;
    }
    const here = this.#kept.read(chat);
    if (isSame(here, draft)) return this.#show(chat); // Another tab of this browser has stored it first.
    if (here.isDirty) return void this.#waiting.set(chat, draft);
    const restMs = here.atMs + WRITING_MS - this.#now();
    if (restMs > 0) {
      this.#pausing.set(chat, new Set(this.#pausing.get(chat)).add(markOf(pick(draft))));
      // Try again after a pause in writing. If the person has written more by then, the draft here is newer; if
      // another tab has taken an emptied draft, there is none.
      setTimeout(() => this.#kept.read(chat).atMs <= here.atMs && this.#take(chat, draft), restMs);
      return;
    }
    this.#write(chat, { ...pick(draft), isDirty: false, atMs: here.atMs });
    this.#show(chat);
  }

  /** @param {ChatId} chat */
  #show(chat) {
    const shown = this.#kept.read(chat);
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
    this.#pausing.delete(chat);
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
    return before.isDirty || this.#kept.read(chat).atMs !== before.atMs;
  }

  /**
   * Append text that was begun here while the draft was requested, so that neither is lost.
   * @param {ChatId} chat
   * @param {Draft | undefined} draft
   */
  #joinBegun(chat, draft) {
    const here = this.#kept.read(chat);
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
      if (again && this.#kept.read(chat).isDirty) this.#schedule(chat);
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
    const stored = typed?.isDirty ? typed : this.#kept.read(chat);
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
      this.#write(chat, { ...this.#kept.read(chat), isDirty: false });
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
    const now = this.#kept.read(chat);
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
    this.#timers.set(chat, setTimeout(() => this.#kept.read(chat).isDirty && this.#store(chat), backoffMs(failures)));
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
   * @param {Kept} draft
   */
  #write(chat, draft) {
    if (!draft.isDirty) this.#share(chat, draft);
    this.#kept.write(chat, draft);
  }
}
