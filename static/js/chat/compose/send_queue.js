// The send queue: messages that the server does not have yet. A message gets its id when it is written, so
// sending it again is harmless. The queue is in the browser's store, which all tabs share and which outlives
// them. The messages of a chat are sent in order, by one tab at a time (a lock per chat), and removed from
// the store once the server has them.
import { PASSING } from "../api.js";
import { backoffMs } from "../lib/backoff.js";
import { uuid7 } from "../lib/ids.js";
import { added, chatsOf, nextOf, ofChat, refused, retried, settled, tried, withdrawn } from "./send_queue_items.js";
import { computed, signal } from "../../signals.js";

/**
 * @typedef {import("./send_queue_items.js").Item} Item
 * @typedef {import("./send_queue_items.js").Written} Written
 * @typedef {import("../api.js").ApiError} ApiError
 * @typedef {{reply: string}} Response
 */

/**
 * @typedef {object} Options
 * @property {Pick<import("../local/send_queue_store.js").SendQueueStore, "change" | "saveNow" | "takeSaved">} store
 * @property {() => string} owner the owner of the queue; messages from tabs of somebody else are ignored
 * @property {(item: Item) => Promise<unknown>} prepare uploads the files of the item; may fail with an ApiError
 * @property {(item: Item) => Promise<Response>} post may fail with an ApiError
 * @property {LockManager | null} locks
 * @property {BroadcastChannel | null} channel
 * @property {(item: Item, response: Response) => void} onSent
 * @property {(error: ApiError) => void} onWait the item is tried again later
 * @property {(item: Item, error: ApiError, isAlone: boolean) => boolean} onRefused true if the text was moved from the queue back into the composer
 */

// A frozen tab that holds the lock must not block the others for ever.
const LOCK_WITHIN_MS = 30_000;

export class SendQueue {
  /** The items (send_queue_items.js), in order, with `status`: "sending", "uploading" (its files), "waiting" (tried
   * again by itself), "held" (behind a refused one), "refused", or "sent" (the server has it, but the log has not confirmed it yet). */
  items = computed(() => this.#shown());

  /** Whether the messages that earlier pages left have been read. */
  isLoaded = false;

  #kept = signal(/** @type {Item[]} */ ([]));
  /** @type {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<Map<string, Item>>} */
  #sent = signal(new Map());
  /** @type {Map<string, Written>} messages that were written here and that the store does not have yet */
  #unstored = new Map();
  /** @type {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<Set<string>>} */
  #sending = signal(new Set());
  /** @type {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<Set<string>>} the messages whose files are being uploaded */
  #preparing = signal(new Set());
  /** @type {Set<string>} ids of messages whose files the server has */
  #prepared = new Set();
  /** @type {Set<string>} ids of messages that the server is known to have */
  #stored = new Set();
  /** @type {Set<string>} ids of messages that were written in this page */
  #mine = new Set();
  /** @type {Map<string, boolean>} by chat: whether to look again */
  #busy = new Map();
  /** @type {Map<string, number>} by chat */
  #attempts = new Map();
  /** @type {Map<string, ReturnType<typeof setTimeout>>} by chat */
  #timers = new Map();
  #lastMs = 0;
  #options;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    options.channel?.addEventListener("message", ({ data }) => void this.#heard(data));
  }

  // Lifecycle

  /** Send the messages that earlier pages left. */
  async start() {
    const { store, owner } = this.#options;
    const saved = store.takeSaved(owner());
    await this.#change((items) => saved.reduce(added, items));
    this.isLoaded = true;
    this.sendNow();
  }

  /** The page is being closed: save the messages that the store does not have yet. */
  saveNow() {
    this.#options.store.saveNow(this.#options.owner(), [...this.#unstored.values()]);
  }

  /** Send now instead of waiting: the network is back, or the person asked. */
  sendNow() {
    for (const chat of chatsOf(this.#kept.peek())) void this.#flush(chat);
  }

  /**
   * Send now the messages that wait because of `code`.
   * @param {string} code
   */
  sendWaitingFor(code) {
    for (const chat of chatsOf(this.#kept.peek())) if (nextOf(this.#kept.peek(), chat)?.waits === code) void this.#flush(chat);
  }

  /** The author has signed out: forget the messages. The server refuses messages that are written after this. */
  forget() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#unstored.clear();
    this.#kept.value = [];
    this.#sent.value = new Map();
  }

  // Actions

  /** @param {string} chat */
  of(chat) {
    return this.items.value.filter((item) => item.chat === chat);
  }

  /** @param {string} chat */
  has(chat) {
    return this.#kept.peek().some((item) => item.chat === chat);
  }

  /** Whether messages of a temporary chat are not sent yet: they are lost with this page. */
  get wouldLose() {
    return this.#kept.peek().some((item) => item.temporary);
  }

  /**
   * Whether this page knows that the server has the message.
   * @param {string} id
   */
  wasStored(id) {
    return this.#stored.has(id);
  }

  /**
   * Whether the server does not know the chat yet.
   * @param {string} chat
   */
  isBegunHere(chat) {
    return this.#kept.peek().some((item) => item.chat === chat && item.isNew);
  }

  /**
   * Queue a message; returns its id.
   * @param {Omit<Written, "id" | "createdMs">} written
   */
  add({ chat, text, model, edit, parent, isNew, temporary = false, project = null, files = [] }) {
    this.#lastMs = Math.max(Date.now(), this.#lastMs + 1);
    const item = { id: uuid7(), chat, text, model, edit, parent, isNew, temporary, project, files, createdMs: this.#lastMs };
    this.#mine.add(item.id);
    this.#unstored.set(item.id, item);
    this.#kept.value = this.#withUnstored(this.#kept.peek());
    void this.#store(item);
    return item.id;
  }

  /**
   * Take a message out unless it is being sent right now; returns it or null.
   * @param {string} id
   * @returns {Promise<Item | null>}
   */
  async withdraw(id) {
    const item = this.#kept.peek().find((one) => one.id === id);
    if (!item) return null;
    return this.#locked(item.chat, { ifAvailable: true }, async (isFree) => {
      let taken = /** @type {Item | null} */ (null);
      await this.#change((items) => {
        // Whoever holds the lock sends only the next message.
        const isSending = !isFree && nextOf(items, item.chat)?.id === id;
        taken = (!isSending && items.find((one) => one.id === id)) || null;
        return isSending ? items : withdrawn(items, id);
      });
      return taken;
    }).finally(() => this.#flush(item.chat));
  }

  /** @param {string} id */
  async retry(id) {
    const items = await this.#change((all) => retried(all, id));
    const chat = items.find((item) => item.id === id)?.chat;
    if (chat) void this.#flush(chat);
  }

  /**
   * The log holds this message now.
   * @param {string} messageId
   */
  confirm(messageId) {
    this.#stored.add(messageId);
    // The response to the send was lost. Sending again gets it: the chat that the message began exists now.
    const unanswered = this.#kept.peek().find((item) => item.id === messageId && item.tries > 0);
    if (unanswered) void this.#flush(unanswered.chat);
    if (!this.#sent.peek().has(messageId)) return;
    const rest = new Map(this.#sent.peek());
    rest.delete(messageId);
    this.#sent.value = rest;
  }

  // Private: sending

  /** @param {Written} item */
  async #store(item) {
    await this.#change((items) => added(items, item));
    this.#unstored.delete(item.id);
    await this.#flush(item.chat);
  }

  /** @param {string} chat */
  async #flush(chat) {
    if (this.#busy.has(chat)) return void this.#busy.set(chat, true);
    this.#busy.set(chat, false);
    clearTimeout(this.#timers.get(chat));
    try {
      await this.#locked(chat, {}, () => this.#sendAll(chat));
    } finally {
      const again = this.#busy.get(chat);
      this.#busy.delete(chat);
      if (again) void this.#flush(chat);
    }
  }

  /** @param {string} chat */
  async #sendAll(chat) {
    for (;;) {
      // Read under the lock: another tab may have sent it in the meantime.
      const item = nextOf(await this.#change((items) => items), chat);
      if (!item) return;
      // Without the lock, because it may take long, and a message may be withdrawn meanwhile.
      if (item.files?.length && !this.#prepared.has(item.id)) return void this.#prepare(item);
      if (!(await this.#send(item))) return;
    }
  }

  /** @param {Item} item */
  async #prepare(item) {
    if (this.#preparing.peek().has(item.id)) return;
    mark(this.#preparing, item.id, true);
    try {
      await this.#options.prepare(item);
      this.#prepared.add(item.id);
    } catch (thrown) {
      const error = /** @type {ApiError} */ (thrown);
      // The code for files cannot be loaded, or the files were withdrawn with the message.
      if (error.isRetryable === undefined) return this.#tryLater(item.chat);
      await this.#refuse(item, error);
    } finally {
      mark(this.#preparing, item.id, false);
    }
    await this.#flush(item.chat);
  }

  /**
   * Returns whether the next message may be sent.
   * @param {Item} item
   */
  async #send(item) {
    mark(this.#sending, item.id, true);
    try {
      const response = await this.#options.post(item);
      this.#attempts.delete(item.chat);
      this.#noteSent(item);
      this.#tell({ type: "sent", item });
      await this.#change((items) => settled(items, item.id, response.reply));
      this.#options.onSent(item, response);
      return true;
    } catch (thrown) {
      const error = /** @type {ApiError} */ (thrown);
      if (error.isRetryable === undefined) throw error;
      const isForLater = error.isRetryable || PASSING.has(error.code);
      await (isForLater ? this.#wait(item, error) : this.#refuse(item, error));
      return false;
    } finally {
      mark(this.#sending, item.id, false);
    }
  }

  /**
   * @param {Item} item
   * @param {ApiError} error
   */
  async #wait(item, error) {
    await this.#change((items) => tried(items, item.id, error.code));
    this.#tryLater(item.chat, error.retryAfterMs);
    this.#options.onWait(error);
  }

  /** @param {string} chat */
  #tryLater(chat, atLeastMs = 0) {
    const attempt = this.#attempts.get(chat) ?? 0;
    this.#attempts.set(chat, attempt + 1);
    clearTimeout(this.#timers.get(chat));
    this.#timers.set(chat, setTimeout(() => void this.#flush(chat), Math.max(atLeastMs, backoffMs(attempt))));
  }

  /**
   * Put the text back into the composer, or keep the message with the reason.
   * @param {Item} item
   * @param {ApiError} error
   */
  async #refuse(item, error) {
    const isAlone = ofChat(this.#kept.peek(), item.chat).length === 1;
    const isTaken = this.#options.onRefused(item, error, isAlone && this.#mine.has(item.id));
    await this.#change((items) => (isTaken ? withdrawn(items, item.id) : refused(items, item.id, error)));
  }

  /**
   * @template T
   * @param {string} chat
   * @param {{ifAvailable?: boolean}} options
   * @param {(isFree?: unknown) => Promise<T>} work
   * @returns {Promise<T>}
   */
  #locked(chat, options, work) {
    const { locks } = this.#options;
    if (!locks) return work(!this.#sending.peek().size || !options.ifAvailable);
    const name = `holdfast:outbox:${chat}`;
    if (options.ifAvailable) return locks.request(name, options, work);
    return locks.request(name, { signal: AbortSignal.timeout(LOCK_WITHIN_MS) }, work).catch((error) => {
      // Go on without the lock, because sending twice is harmless and waiting for ever is not.
      if (error?.name === "TimeoutError" || error?.name === "AbortError") return work();
      throw error;
    });
  }

  // Private: the stored items

  /** @param {(items: Item[]) => Item[]} change */
  async #change(change) {
    let isChanged = false;
    /** @param {Item[]} items */
    const noting = (items) => {
      const next = change(items);
      isChanged = next !== items;
      return next;
    };
    this.#kept.value = this.#withUnstored((await this.#options.store.change(noting)) ?? change(this.#kept.peek()));
    if (isChanged) this.#tell({ type: "changed" });
    return this.#kept.peek();
  }

  /**
   * The items with the messages that were written after the store was read.
   * @param {Item[]} items
   */
  #withUnstored(items) {
    return [...this.#unstored.values()].reduce((all, item) => added(all, item), items);
  }

  /** @param {{type: string, item?: Item}} message */
  #tell(message) {
    this.#options.channel?.postMessage({ ...message, owner: this.#options.owner() });
  }

  /**
   * Another tab has changed the stored items, or has sent one.
   * @param {{type: string, owner: string, item: Item}} data
   */
  async #heard(data) {
    if (data.owner !== this.#options.owner()) return;
    if (data.type === "sent") this.#noteSent(data.item);
    const kept = await this.#options.store.change((items) => items);
    if (!kept) return;
    this.#kept.value = this.#withUnstored(kept);
    // If that tab is closed before it has sent the message, this tab sends it.
    for (const chat of chatsOf(kept)) if (!this.#busy.has(chat) && !this.#attempts.has(chat)) this.#tryLater(chat);
  }

  /** @param {Item} item */
  #noteSent(item) {
    if (this.#stored.has(item.id)) return;
    this.#stored.add(item.id);
    this.#sent.value = new Map(this.#sent.peek()).set(item.id, item);
  }

  #shown() {
    const sent = this.#sent.value;
    const kept = this.#kept.value.filter((item) => !sent.has(item.id));
    const stuck = new Set(kept.filter((item) => item.error).map((item) => item.chat));
    /** @param {Item} item */
    const statusOf = (item) => {
      if (item.error) return "refused";
      if (this.#preparing.value.has(item.id)) return "uploading";
      if (this.#sending.value.has(item.id) && item.tries === 0) return "sending";
      if (stuck.has(item.chat)) return "held";
      const isFirst = ofChat(kept, item.chat)[0].id === item.id;
      return isFirst && item.tries === 0 ? "sending" : "waiting";
    };
    return [
      ...[...sent.values()].map((item) => ({ ...item, status: "sent" })),
      ...kept.map((item) => ({ ...item, status: statusOf(item) })),
    ];
  }
}

/**
 * @param {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<Set<string>>} ids
 * @param {string} id
 * @param {boolean} isIn
 */
function mark(ids, id, isIn) {
  const next = new Set(ids.peek());
  if (isIn) next.add(id);
  else next.delete(id);
  ids.value = next;
}
