// What is in the composer, for each chat: kept here at once and at the server soon after, so that
// it is there after a reload and on the person's other devices. The one written last wins; what
// comes from elsewhere never changes a text that is being written here.
import { backoffMs } from "./backoff.js";
import { signal } from "../signals.js";

const PREFIX = "holdfast:draft:";
const STORE_AFTER_MS = 1_000;
const STORE_WITHIN_MS = 5_000;
const WRITING_MS = 4_000; // after the last key one is still writing
const KEEPALIVE_BYTES = 60_000; // browsers let 64 kB outlive the page

const EMPTY = Object.freeze({ text: "", pastes: [] });
const isEmpty = ({ text, pastes }) => text === "" && pastes.length === 0;
const isSame = (a, b) => a.text === b.text && JSON.stringify(a.pastes) === JSON.stringify(b.pastes);

export class Drafts {
  /** A draft came from another device: {chat}. */
  arrived = signal(null);

  #owner;
  #put;
  #ask;
  #storage;
  #tab;
  #now;
  #memory = new Map(); // when the storage keeps nothing
  #timers = new Map();
  #firstMs = new Map();
  #seenMs = new Map(); // which of the server's drafts this page knows
  #storing = new Map(); // chat -> whether to store again after the request under way
  #waiting = new Map(); // chat -> what came from elsewhere while something here was not stored yet
  #failures = new Map(); // chat -> how often in a row it could not be stored
  #isWhole = true; // whether the server's are known here, all of them
  #known = new Set(); // else those that are, or are being asked for

  /**
   * @param owner () => whose drafts these are; @param put (body, options) => promise of {draft}, or an error; @param ask (chat) => promise of {drafts}
   * @param storage like localStorage; @param tab a name for this page
   */
  constructor({ owner, put, ask, storage = safeStorage(), tab, now = Date.now }) {
    this.#owner = owner;
    this.#put = put;
    this.#ask = ask;
    this.#storage = storage;
    this.#tab = tab;
    this.#now = now;
  }

  /** The server's drafts as this page was made; what was written here and not stored yet stays. `more`: there are others. */
  load(drafts, more = false) {
    this.#isWhole = !more;
    const there = new Map(drafts.map((draft) => [draft.chat ?? null, draft]));
    this.#known = new Set(there.keys());
    for (const chat of new Set([...this.#chatsHere(), ...there.keys()])) {
      const here = this.#read(chat);
      this.#noteSeen(chat, there.get(chat));
      if (here.isDirty) this.#schedule(chat);
      else if (this.#isWhole || there.has(chat)) this.#write(chat, { ...EMPTY, ...pick(there.get(chat)), isDirty: false, atMs: here.atMs });
    }
  }

  /** The connection was away: what was written elsewhere meanwhile is asked for when its chat is opened, that of `chat` now. */
  missedSome(chat) {
    this.#isWhole = false;
    this.#known.clear();
    return this.open(chat);
  }

  /** Its chat is opened: a draft that is not known here is asked for now. */
  async open(chat) {
    if (this.#isWhole || this.#known.has(chat)) return;
    this.#known.add(chat);
    const before = this.#read(chat);
    try {
      const { drafts } = await this.#ask(chat);
      if (this.#isOvertaken(chat, before, drafts[0])) return;
      this.#noteSeen(chat, drafts[0]);
      const isJoined = isEmpty(before) && !before.isDirty && this.#joinBegun(chat, drafts[0]);
      if (!isJoined) this.#take(chat, pick(drafts[0]));
    } catch {
      this.#known.delete(chat); // Asked for again when the chat is opened the next time.
    }
  }

  /** {text, pastes} for a chat; null is a new one. */
  get(chat) {
    return pick(this.#read(chat));
  }

  set(chat, draft) {
    if (isSame(this.#read(chat), draft)) return;
    this.#write(chat, { ...pick(draft), isDirty: true, atMs: this.#now() });
    this.#schedule(chat);
  }

  /** Told by the server that it was written elsewhere. */
  receive(draft) {
    if (draft.tab === this.#tab) return;
    this.#known.add(draft.chat ?? null);
    this.#noteSeen(draft.chat ?? null, draft);
    this.#take(draft.chat ?? null, draft);
  }

  /** The chat is gone, and what was begun in it. */
  forget(chat) {
    clearTimeout(this.#timers.get(chat));
    this.#memory.delete(this.#key(chat));
    this.#storage.removeItem(this.#key(chat));
  }

  /** Store now what waits: the page is left, or the network is back. */
  flush(options) {
    return Promise.all(this.#chatsHere().filter((chat) => this.#read(chat).isDirty).map((chat) => this.#store(chat, options)));
  }

  /** The visitor has become somebody: what they wrote goes along. */
  rename(before, owner) {
    for (const key of this.#keys(before)) {
      this.#storage.setItem(key.replace(`:${before}:`, `:${owner}:`), this.#storage.getItem(key));
      this.#storage.removeItem(key);
    }
  }

  /** Drafts of everybody but `owner` go; without one, all of them. */
  erase(owner = null) {
    for (const key of this.#keys()) if (!owner || !key.startsWith(`${PREFIX}${owner}:`)) this.#storage.removeItem(key);
    if (owner) return;
    this.#memory.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  #take(chat, draft) {
    const here = this.#read(chat);
    if (here.isDirty) return void this.#waiting.set(chat, draft);
    const restMs = here.atMs + WRITING_MS - this.#now();
    if (restMs > 0) {
      // Looked at again when one has paused; if one has written on by then, this is the later one.
      setTimeout(() => this.#read(chat).atMs === here.atMs && this.#take(chat, draft), restMs);
      return;
    }
    this.#write(chat, { ...pick(draft), isDirty: false, atMs: here.atMs });
    this.arrived.value = { chat };
  }

  /** Whether what was asked for is older than what has been stored from here since. */
  #isOvertaken(chat, before, draft) {
    if (draft) return draft.written_ms < (this.#seenMs.get(chat) ?? 0);
    return before.isDirty || this.#read(chat).atMs !== before.atMs;
  }

  /** What was begun here while it was being asked for goes below it: neither takes the other's place. */
  #joinBegun(chat, draft) {
    const here = this.#read(chat);
    if (!draft || isEmpty(here) || isSame(here, draft)) return false;
    const text = [draft.text, here.text].filter(Boolean).join("\n\n");
    this.set(chat, { text, pastes: [...draft.pastes, ...here.pastes] });
    this.arrived.value = { chat };
    return true;
  }

  #schedule(chat) {
    const first = this.#firstMs.get(chat) ?? this.#now();
    this.#firstMs.set(chat, first);
    clearTimeout(this.#timers.get(chat));
    const delayMs = Math.max(0, Math.min(STORE_AFTER_MS, first + STORE_WITHIN_MS - this.#now()));
    this.#timers.set(chat, setTimeout(() => this.#store(chat), delayMs));
  }

  /** One request at a time, so that none overtakes another; not when the page is left. */
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

  async #putAway(chat, { keepalive = false }) {
    clearTimeout(this.#timers.get(chat));
    this.#firstMs.delete(chat);
    const stored = this.#read(chat);
    const size = stored.text.length + stored.pastes.join("").length;
    const age_ms = Math.max(0, this.#now() - stored.atMs);
    const body = { chat, ...pick(stored), age_ms, seen_ms: this.#seenMs.get(chat) ?? null, tab: this.#tab };
    let kept;
    try {
      kept = await this.#put(body, { keepalive: keepalive && 3 * size < KEEPALIVE_BYTES });
    } catch (error) {
      // It stays, to be stored later: soon where the server was in trouble, else with the next flush,
      // as the chat itself may only be here yet. If that was deleted, it is shown until the page is
      // left, and nobody asks again.
      if (error.code === "chat_not_found") this.#write(chat, { ...this.#read(chat), isDirty: false });
      if (error.isRetryable) this.#tryLater(chat);
      return;
    }
    this.#failures.delete(chat);
    this.#noteSeen(chat, kept?.draft);
    const now = this.#read(chat);
    if (now.atMs !== stored.atMs || !isSame(now, stored)) return;
    this.#write(chat, { ...stored, isDirty: false });
    // Written over it elsewhere before we heard that it is stored.
    const later = this.#waiting.get(chat);
    this.#waiting.delete(chat);
    const last = later?.written_ms > (kept?.draft?.written_ms ?? 0) ? later : kept?.draft;
    if (last && !isSame(last, stored)) this.#take(chat, last);
  }

  #tryLater(chat) {
    const failures = this.#failures.get(chat) ?? 0;
    this.#failures.set(chat, failures + 1);
    clearTimeout(this.#timers.get(chat));
    this.#timers.set(chat, setTimeout(() => this.#read(chat).isDirty && this.#store(chat), backoffMs(failures)));
  }

  #noteSeen(chat, draft) {
    if (draft?.written_ms > (this.#seenMs.get(chat) ?? 0)) this.#seenMs.set(chat, draft.written_ms);
  }

  #read(chat) {
    const key = this.#key(chat);
    try {
      const found = this.#storage.getItem(key);
      if (found) return { ...EMPTY, ...JSON.parse(found) };
    } catch {
      // Not kept here: see below.
    }
    return this.#memory.get(key) ?? { ...EMPTY, isDirty: false, atMs: 0 };
  }

  #write(chat, draft) {
    const key = this.#key(chat);
    this.#memory.delete(key);
    try {
      // One that was emptied stays until the server knows.
      if (isEmpty(draft) && !draft.isDirty) this.#storage.removeItem(key);
      else this.#storage.setItem(key, JSON.stringify(draft));
    } catch {
      this.#memory.set(key, draft);
    }
  }

  #key(chat) {
    return `${PREFIX}${this.#owner()}:${chat ?? "new"}`;
  }

  #keys(owner = null) {
    const prefix = owner ? `${PREFIX}${owner}:` : PREFIX;
    const keys = Array.from({ length: this.#storage.length }, (_, index) => this.#storage.key(index));
    return keys.filter((key) => key.startsWith(prefix));
  }

  #chatsHere() {
    const keys = [...this.#keys(this.#owner()), ...this.#memory.keys()];
    return [...new Set(keys)].map((key) => key.split(":").at(-1)).map((chat) => (chat === "new" ? null : chat));
  }
}

function pick(draft) {
  return { text: draft?.text ?? "", pastes: draft?.pastes ?? [] };
}

/** Storage may be forbidden: then drafts live as long as the page. */
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
