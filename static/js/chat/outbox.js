// Messages on their way to the server. Each has its id from the moment it is written, so sending it
// again is the same send. They wait in the browser's store, which all tabs share and which outlives
// them; within a chat they go out in order, from one tab at a time (a lock for each chat), and are
// gone from the store once the server has them.
import { PASSING } from "./api.js";
import { backoffMs } from "./backoff.js";
import { uuid7 } from "./ids.js";
import { added, chatsOf, nextOf, ofChat, refused, retried, settled, tried, withdrawn } from "./outbox_items.js";
import { computed, signal } from "../signals.js";

// A tab that holds the lock and was frozen must not hold up the others for ever.
const LOCK_WITHIN_MS = 30_000;

export class Outbox {
  /** Items (outbox_items.js), in order, with `status`: "sending", "waiting" (tried again by itself), "held" (behind one
   * that was refused), "refused", or "sent" (stored, not yet read back). */
  items = computed(() => this.#shown());

  /** Whether it is known what earlier pages left. */
  isLoaded = false;

  #kept = signal([]);
  #sent = signal(new Map());
  #sending = signal(new Set());
  #stored = new Set(); // known to be at the server
  #mine = new Set(); // written in this page
  #busy = new Map(); // chat -> whether to look again
  #attempts = new Map();
  #timers = new Map();
  #lastMs = 0;
  #options;

  /**
   * @param store {change(items => items)}: gives the items, or undefined when it keeps nothing
   * @param owner () => whose outbox it is: tabs of somebody else are not listened to
   * @param post (item) => promise of the response, or an ApiError
   * @param locks navigator.locks, or null; @param channel a BroadcastChannel, or null
   * @param onSent (item, response), onWait(error): it is tried again later
   * @param onRefused (item, error, isAlone) => true if the text was taken back from the outbox
   */
  constructor(options) {
    this.#options = options;
    options.channel?.addEventListener("message", ({ data }) => this.#heard(data));
  }

  // Lifecycle

  /** What earlier pages left here goes out. */
  async start() {
    await this.#change((items) => items);
    this.isLoaded = true;
    this.sendNow();
  }

  /** Do not wait any longer: the network is back, or the person asked. */
  sendNow() {
    for (const chat of chatsOf(this.#kept.peek())) this.#flush(chat);
  }

  /** The same for those that wait for this. */
  sendWaitingFor(code) {
    for (const chat of chatsOf(this.#kept.peek())) if (nextOf(this.#kept.peek(), chat)?.waits === code) this.#flush(chat);
  }

  /** Who wrote these has signed out: nothing of them is tried again. What is written from now on is the server's to refuse. */
  forget() {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#kept.value = [];
    this.#sent.value = new Map();
  }

  // Actions

  of(chat) {
    return this.items.value.filter((item) => item.chat === chat);
  }

  has(chat) {
    return this.#kept.peek().some((item) => item.chat === chat);
  }

  /** Whether this page has learnt that the server has the message. */
  wasStored(id) {
    return this.#stored.has(id);
  }

  /** Whether the chat is only here yet. */
  isBegunHere(chat) {
    return this.#kept.peek().some((item) => item.chat === chat && item.isNew);
  }

  /** Queue a message; gives its id. */
  add({ chat, text, model, edit, parent, isNew }) {
    this.#lastMs = Math.max(Date.now(), this.#lastMs + 1);
    const item = { id: uuid7(), chat, text, model, edit, parent, isNew, createdMs: this.#lastMs };
    this.#mine.add(item.id);
    this.#kept.value = added(this.#kept.peek(), item);
    this.#change((items) => added(items, item)).then(() => this.#flush(chat));
    return item.id;
  }

  /** Take a message out, unless it is being sent right now. Gives it, or null. */
  async withdraw(id) {
    const item = this.#kept.peek().find((one) => one.id === id);
    if (!item) return null;
    return this.#locked(item.chat, { ifAvailable: true }, async (isFree) => {
      if (!isFree) return null;
      let taken = null;
      await this.#change((items) => {
        taken = items.find((one) => one.id === id) ?? null;
        return withdrawn(items, id);
      });
      return taken;
    }).finally(() => this.#flush(item.chat));
  }

  async retry(id) {
    const items = await this.#change((all) => retried(all, id));
    const chat = items.find((item) => item.id === id)?.chat;
    if (chat) this.#flush(chat);
  }

  /** The log holds this message now. */
  confirm(messageId) {
    this.#stored.add(messageId);
    // The answer to the send was lost. It is asked for again now: the chat it began is there.
    const unanswered = this.#kept.peek().find((item) => item.id === messageId && item.tries > 0);
    if (unanswered) this.#flush(unanswered.chat);
    if (!this.#sent.peek().has(messageId)) return;
    const rest = new Map(this.#sent.peek());
    rest.delete(messageId);
    this.#sent.value = rest;
  }

  // Private: sending

  async #flush(chat) {
    if (this.#busy.has(chat)) return void this.#busy.set(chat, true);
    this.#busy.set(chat, false);
    clearTimeout(this.#timers.get(chat));
    try {
      await this.#locked(chat, {}, () => this.#sendAll(chat));
    } finally {
      const again = this.#busy.get(chat);
      this.#busy.delete(chat);
      if (again) this.#flush(chat);
    }
  }

  async #sendAll(chat) {
    for (;;) {
      // Read under the lock: another tab may have sent it in the meantime.
      const item = nextOf(await this.#change((items) => items), chat);
      if (!item || !(await this.#send(item))) return;
    }
  }

  /** Whether the next one may go. */
  async #send(item) {
    this.#mark(item.id, true);
    try {
      const response = await this.#options.post(item);
      this.#attempts.delete(item.chat);
      this.#noteSent(item);
      this.#tell({ type: "sent", item });
      await this.#change((items) => settled(items, item.id, response.reply));
      this.#options.onSent(item, response);
      return true;
    } catch (error) {
      if (error.isRetryable === undefined) throw error;
      const isForLater = error.isRetryable || PASSING.has(error.code);
      await (isForLater ? this.#wait(item, error) : this.#refuse(item, error));
      return false;
    } finally {
      this.#mark(item.id, false);
    }
  }

  async #wait(item, error) {
    await this.#change((items) => tried(items, item.id, error.code));
    this.#tryLater(item.chat, error.retryAfterMs);
    this.#options.onWait(error);
  }

  #tryLater(chat, atLeastMs = 0) {
    const attempt = this.#attempts.get(chat) ?? 0;
    this.#attempts.set(chat, attempt + 1);
    clearTimeout(this.#timers.get(chat));
    this.#timers.set(chat, setTimeout(() => this.#flush(chat), Math.max(atLeastMs, backoffMs(attempt))));
  }

  /** Its text goes back to whoever has just written it; else it stays here, with the reason. */
  async #refuse(item, error) {
    const isAlone = ofChat(this.#kept.peek(), item.chat).length === 1;
    const isTaken = this.#options.onRefused(item, error, isAlone && this.#mine.has(item.id));
    await this.#change((items) => (isTaken ? withdrawn(items, item.id) : refused(items, item.id, error)));
  }

  #locked(chat, options, work) {
    const { locks } = this.#options;
    if (!locks) return work(!this.#sending.peek().size || !options.ifAvailable);
    const name = `holdfast:outbox:${chat}`;
    if (options.ifAvailable) return locks.request(name, options, work);
    const signal = AbortSignal.timeout(LOCK_WITHIN_MS);
    return locks.request(name, { signal }, work).catch((error) => {
      // Sending twice is harmless, waiting for ever is not.
      if (error?.name === "TimeoutError" || error?.name === "AbortError") return work();
      throw error;
    });
  }

  // Private: what is kept

  async #change(change) {
    let isChanged = false;
    const noting = (items) => {
      const next = change(items);
      isChanged = next !== items;
      return next;
    };
    this.#kept.value = (await this.#options.store.change(noting)) ?? change(this.#kept.peek());
    if (isChanged) this.#tell({ type: "changed" });
    return this.#kept.peek();
  }

  #tell(message) {
    this.#options.channel?.postMessage({ ...message, owner: this.#options.owner() });
  }

  /** Another tab has changed what is kept, or sent something. */
  async #heard(data) {
    if (data.owner !== this.#options.owner()) return;
    if (data.type === "sent") this.#noteSent(data.item);
    const kept = await this.#options.store.change((items) => items);
    if (!kept) return;
    this.#kept.value = kept;
    // Should that tab be closed before it has sent, this one does.
    for (const chat of chatsOf(kept)) if (!this.#busy.has(chat) && !this.#attempts.has(chat)) this.#tryLater(chat);
  }

  #noteSent(item) {
    if (this.#stored.has(item.id)) return;
    this.#stored.add(item.id);
    this.#sent.value = new Map(this.#sent.peek()).set(item.id, item);
  }

  #mark(id, isSending) {
    const next = new Set(this.#sending.peek());
    if (isSending) next.add(id);
    else next.delete(id);
    this.#sending.value = next;
  }

  #shown() {
    const sent = this.#sent.value;
    const kept = this.#kept.value.filter((item) => !sent.has(item.id));
    const stuck = new Set(kept.filter((item) => item.error).map((item) => item.chat));
    const statusOf = (item) => {
      if (item.error) return "refused";
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
