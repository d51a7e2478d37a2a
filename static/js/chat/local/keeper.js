// Stores an open chat in the browser's database soon after it changes, not with every token. Only a visible
// page does so, so that tabs do not overwrite each other's data.
import { drawn } from "../lib/frames.js";
import { blockOf } from "./blocks.js";

const SAVE_AFTER_MS = 1_000;

export class ChatKeeper {
  #chats;
  #open;
  /** @type {string | null} */
  #revision = null;
  /** @type {Map<string, number>} message id -> its index in the order of creation */
  #positions = new Map();
  /** @type {Set<number>} blocks */
  #dirty = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #saving = Promise.resolve();

  /**
   * @param {import("./chats.js").LocalChats} chats
   * @param {import("../log/open_chat.js").OpenChat} open
   */
  constructor(chats, open) {
    this.#chats = chats;
    this.#open = open;
  }

  /** Show the stored chat, if there is one; resolves when that is known. */
  async restore() {
    if (this.#open.showGlimpse(await this.#chats.glimpse(this.#open.id))) await drawn();
    const kept = await this.#chats.load(this.#open.id);
    if (!kept || !this.#open.restore(kept.transcript)) return;
    this.#revision = kept.revision;
  }

  /**
   * These messages have changed (null: all of them).
   * @param {string[] | null} ids
   */
  changed(ids) {
    if (ids === null) this.#forget();
    else this.#mark(ids);
    if (isLookedAt()) this.#timer ??= setTimeout(() => this.saveNow(), SAVE_AFTER_MS);
  }

  /** Write the changes now, because the page is hidden or closed. */
  saveNow() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#saving = this.#saving.then(() => this.#save());
    return this.#saving;
  }

  async #save() {
    const { id, transcript } = this.#open;
    if (transcript.deleted) return void (await this.#chats.remove(id));
    if (transcript.temporary) return;
    // Nothing was replayed yet, or not the whole chat.
    if (!this.#open.isLoaded.peek() || transcript.cursor === "0-0") return;
    const takeDirty = () => {
      const dirty = this.#dirty;
      this.#dirty = new Set();
      return dirty;
    };
    this.#revision = await this.#chats.save(id, transcript, { takeDirty, revision: this.#revision });
  }

  /** @param {string[]} ids */
  #mark(ids) {
    const { messages } = this.#open.transcript;
    const known = this.#positions.size;
    const added = ids.filter((id) => !this.#positions.has(id));
    if (known > 0 && known + added.length === Object.keys(messages).length) {
      added.forEach((id, index) => this.#positions.set(id, known + index)); // in the order of creation
    } else if (added.length > 0) {
      Object.keys(messages).forEach((id, index) => this.#positions.set(id, index));
    }
    for (const id of ids) {
      const position = this.#positions.get(id);
      if (position !== undefined) this.#dirty.add(blockOf(position));
    }
  }

  #forget() {
    this.#revision = null;
    this.#positions.clear();
  }
}

const isLookedAt = () => document.visibilityState === "visible";
