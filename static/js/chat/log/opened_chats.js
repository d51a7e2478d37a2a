// The chats in memory, the most recently used ones. Others are loaded from the browser's store.
import { ChatKeeper } from "../local/keeper.js";
import { OpenChat } from "./open_chat.js";

const CHATS_IN_MEMORY = 12;

export class OpenedChats {
  /** @type {Map<string, {open: OpenChat, keeper: ChatKeeper}>} by chat id, least recently used first */
  #opened = new Map();
  #local;
  #reread;
  #onReady;

  /**
   * @param {import("../local/chats.js").LocalChats} local
   * @param {(id: string) => Promise<import("./socket.js").Entry[]>} reread reads the entries of the whole chat
   * @param {() => void} onReady called when the browser's store was read for a chat, or the chat was read again
   */
  constructor(local, reread, onReady) {
    this.#local = local;
    this.#reread = reread;
    this.#onReady = onReady;
  }

  /**
   * The chat, or null if it is not in memory.
   * @param {string} id
   */
  get(id) {
    return this.#opened.get(id)?.open ?? null;
  }

  /**
   * The chat, from the browser's store if it is not in memory. `isNew`: nothing of it is stored yet.
   * @param {string} id
   */
  open(id, { isNew = false } = {}) {
    const opened = this.#opened.get(id) ?? this.#begin(id, isNew);
    this.#opened.delete(id);
    this.#opened.set(id, opened);
    for (const [oldest, { keeper }] of this.#opened) {
      if (this.#opened.size <= CHATS_IN_MEMORY) break;
      void keeper.saveNow();
      this.#opened.delete(oldest);
    }
    return opened.open;
  }

  /** The browser hides or closes the page. */
  saveNow() {
    return Promise.all([...this.#opened.values()].map(({ keeper }) => keeper.saveNow()));
  }

  /** @param {string} id */
  forget(id) {
    return this.#local.remove(id);
  }

  /**
   * @param {string} id
   * @param {boolean} isNew
   */
  #begin(id, isNew) {
    const open = new OpenChat(id, () => this.#reread(id), () => this.#onReady());
    const keeper = new ChatKeeper(this.#local, open);
    open.onChanged = (ids) => keeper.changed(ids);
    if (isNew) {
      open.begin();
    } else {
      void keeper.restore().finally(() => {
        open.isReady.value = true;
        this.#onReady();
      });
    }
    return { open, keeper };
  }
}
