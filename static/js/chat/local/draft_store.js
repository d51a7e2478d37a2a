// The drafts that this browser keeps: in its local storage, which does not wait, so that no key is lost when the
// page is closed. Those of temporary chats are kept by this page only, and so is everything if storage is forbidden.
import { EMPTY, isEmpty } from "../compose/draft_content.js";

/** @typedef {string | null} ChatId null for a new chat */
/** @typedef {import("../compose/draft_content.js").Content & {isDirty: boolean, atMs: number}} Kept dirty: the server does not have it yet */

/** The name of the draft on the page of a new temporary chat. */
export const NEW_TEMPORARY = "temporary";

const PREFIX = "holdfast:draft:";

export class DraftStore {
  #owner;
  #isTemporary;
  #storage;
  /** @type {Map<string, Kept>} by key */
  #memory = new Map();

  /**
   * @param {object} options
   * @param {() => string} options.owner the owner of the drafts
   * @param {(chat: string) => boolean} [options.isTemporary]
   * @param {Pick<Storage, "length" | "key" | "getItem" | "setItem" | "removeItem">} [options.storage]
   */
  constructor({ owner, isTemporary = () => false, storage = safeStorage() }) {
    this.#owner = owner;
    this.#isTemporary = isTemporary;
    this.#storage = storage;
  }

  /**
   * @param {ChatId} chat
   * @returns {Kept}
   */
  read(chat) {
    const key = this.#key(chat);
    try {
      const found = this.#storage.getItem(key);
      if (found) return { ...EMPTY, ...JSON.parse(found) };
    } catch {
      // The storage is forbidden; write() has kept the draft in memory.
    }
    return this.#memory.get(key) ?? { ...EMPTY, isDirty: false, atMs: 0 };
  }

  /**
   * @param {ChatId} chat
   * @param {Kept} draft
   */
  write(chat, draft) {
    const key = this.#key(chat);
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
  remove(chat) {
    this.#memory.delete(this.#key(chat));
    this.#storage.removeItem(this.#key(chat));
  }

  /** The chats that have a draft here. */
  chats() {
    const keys = [...this.#keys(this.#owner()), ...this.#memory.keys()];
    return [...new Set(keys)].map((key) => key.slice(key.lastIndexOf(":") + 1)).map((chat) => (chat === "new" ? null : chat));
  }

  /**
   * Move the drafts of one owner to another.
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
  erase(owner) {
    for (const key of this.#keys()) if (!owner || !key.startsWith(`${PREFIX}${owner}:`)) this.#storage.removeItem(key);
    if (!owner) this.#memory.clear();
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
