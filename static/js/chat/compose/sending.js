// The send queue and the drafts, and how a text moves between them.
import { api, CHAT_FULL, PASSING, PROJECT_GONE } from "../api.js";
import { Attachments } from "../files/attachments.js";
import { composerPlace, messageOf, messagePlace } from "../files/places.js";
import { Drafts, newPlace } from "./drafts.js";
import { inSentence } from "../lib/format.js";
import { uuid7 } from "../lib/ids.js";
import { SendQueue } from "./send_queue.js";
import { joined, taken } from "./pasted.js";
import { text } from "../text.js";
import { effect, signal } from "../../signals.js";

const CHANNEL = "holdfast:outbox";
// The server does not have a file any more, as it forgets those that no message has.
const FILES_AGAIN = new Set(["file_not_found", "file_not_ready"]);
// Longer than the toast that brings a message back.
const FORGET_FILES_MS = 10_000;

/**
 * @typedef {import("./send_queue_items.js").Item} Item
 * @typedef {import("../api.js").ApiError} ApiError
 */

/**
 * The parts of the Store that are used here.
 * @typedef {object} Store
 * @property {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<import("../log/socket.js").User | null>} user
 * @property {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<string | null>} chatId
 * @property {import("../lib/toasts.js").Toasts} toasts
 * @property {{suspect(): void}} connection
 * @property {{peek(): string | null}} draftPlace
 * @property {EventTarget} wake
 * @property {(user: any) => void} becomes
 * @property {(id: string | null) => void} openChat
 * @property {(isTemporary?: boolean, project?: string | null) => void} openNew
 * @property {(chat: string) => boolean} isTemporary
 * @property {{peek(): {id: string} | null}} projectShown
 * @property {{get(chat: string): {title: string} | null}} list
 * @property {(error: ApiError) => void} complain
 * @property {(item: Item, response: import("./send_queue.js").Response) => void} sent
 * @property {(chat: string, item: Item) => void} showBegun
 * @property {(chat: string) => void} dropBegun
 */

export class Sending {
  /** @type {SendQueue} */
  sendQueue;
  drafts;
  /** @type {Attachments} */
  attachments;
  /** A text to be put into the composer. */
  handedBack = signal(/** @type {{text: string, at: number, isTaken?: boolean} | null} */ (null));

  #store;
  /** @type {Map<string, string>} chats that exist only here -> the message that begins them */
  #begun = new Map();
  /** @type {Set<string>} messages whose project was deleted: repetitions name none */
  #projectGone = new Set();

  /**
   * @param {Store} store
   * @param {{owner: string, sendQueue: import("../local/send_queue_store.js").SendQueueStore, later: import("../files/attaching.js").Options["later"]}} own
   */
  constructor(store, own) {
    this.#store = store;
    this.drafts = new Drafts({
      owner: () => own.owner,
      put: (body, options) => this.#putDraft(body, options),
      ask: (chat) => api.draft(chat),
      isTemporary: (chat) => store.isTemporary(chat),
      tab: uuid7(),
    });
    this.attachments = new Attachments({
      later: own.later,
      owner: () => own.owner,
      isTemporary: (place) => this.#isTemporary(place),
      toasts: store.toasts,
      person: () => store.user.peek()?.id ?? null,
      onUser: (user) => store.becomes(user),
      wake: store.wake,
    });
    this.sendQueue = new SendQueue({
      store: own.sendQueue,
      owner: () => own.owner,
      prepare: (item) => this.attachments.use((attaching) => attaching.prepare(item)),
      post: (item) => this.#post(item),
      locks: navigator.locks ?? null,
      channel: globalThis.BroadcastChannel ? new BroadcastChannel(CHANNEL) : null,
      onSent: (item, response) => {
        if (item.files?.length) void this.attachments.use((attaching) => attaching.sent(item.id));
        store.sent(item, response);
      },
      onWait: (error) => !PASSING.has(error.code) && store.connection.suspect(),
      onRefused: (item, error, isAlone) => this.#refused(item, error, isAlone),
    });
    effect(() => this.#showBegun(this.sendQueue.items.value));
  }

  /** Send what earlier pages left. */
  async start() {
    await this.sendQueue.start();
    this.attachments.start((message) => this.sendQueue.items.peek().some(({ id }) => id === message));
  }

  /** Whether files of messages that are not sent yet are lost with this page. */
  get wouldLose() {
    return this.sendQueue.wouldLose || this.attachments.wouldLose;
  }

  /**
   * Put a text into the composer, before its content.
   * @param {string} content
   */
  handBack(content) {
    this.handedBack.value = { text: content, at: Date.now() };
  }

  /**
   * Move a message that is not sent yet back into the composer.
   * @param {Item} item
   */
  async edit(item) {
    const found = await this.sendQueue.withdraw(item.id);
    if (!found) return this.#store.toasts.show(text.tooLate);
    this.attachments.moveBack(item.id, this.#store.draftPlace.peek());
    return this.handBack(found.text);
  }

  /**
   * Move a message that its chat has no room for into a new chat.
   * @param {Item} item
   */
  async moveToNewChat(item) {
    const found = await this.sendQueue.withdraw(item.id);
    if (!found) return this.#store.toasts.show(text.tooLate);
    this.#store.openNew(found.temporary, this.#store.projectShown.peek()?.id);
    this.attachments.moveBack(item.id, this.#store.draftPlace.peek());
    return this.handBack(found.text);
  }

  /**
   * Remove a message that is not sent yet; a toast can undo this for a while.
   * @param {Item} item
   */
  async cancel(item) {
    const found = await this.sendQueue.withdraw(item.id);
    if (!found) return this.#store.toasts.show(text.tooLate);
    const { chat, text: content, model, edit, parent, isNew, temporary, project, files } = found;
    setTimeout(() => this.attachments.clear(messagePlace(item.id)), FORGET_FILES_MS);
    const run = () => {
      const id = this.sendQueue.add({ chat, text: content, model, edit, parent, isNew, temporary, project, files });
      this.attachments.move(messagePlace(item.id), messagePlace(id));
      if (isNew) this.#store.openChat(chat);
    };
    return this.#store.toasts.show(text.sendCancelled, { label: text.undo, run });
  }

  /**
   * Remove all messages of a chat that exists only here.
   * @param {string} chat
   */
  async cancelChat(chat) {
    for (const item of this.sendQueue.of(chat)) await this.cancel(item);
  }

  /**
   * If the project was deleted since the message was written, the chat begins in none, like those that were in it.
   * @param {Item} item
   */
  async #post(item) {
    if (!this.#projectGone.has(item.id)) {
      try {
        return await this.#postWithFiles(item.project, item);
      } catch (error) {
        if (/** @type {ApiError} */ (error).code !== PROJECT_GONE) throw error;
        this.#projectGone.add(item.id);
        // Said now: the message may come back through the log before the response does, or instead of it.
        this.#store.toasts.show(text.movedOutToast(inSentence(this.#store.list.get(item.chat)?.title ?? "")));
      }
    }
    return this.#postWithFiles(null, item);
  }

  /**
   * If the server has forgotten files, they are uploaded again.
   * @param {string | null | undefined} project
   * @param {Item} item
   */
  async #postWithFiles(project, item) {
    try {
      return await this.#postInto(project, item);
    } catch (error) {
      if (!item.files?.length || !FILES_AGAIN.has(/** @type {ApiError} */ (error).code)) throw error;
      await this.attachments.use((attaching) => attaching.prepare(item, { isAgain: true }));
      return this.#postInto(project, item);
    }
  }

  /**
   * @param {string | null | undefined} project
   * @param {Item} item
   */
  #postInto(project, { id, chat, text: content, model, parent, edit, temporary, files }) {
    const ids = files?.length ? files.map(({ id: file, alt }) => (alt ? { id: file, alt } : file)) : undefined;
    return api.send(chat, { id, text: content, model, parent, edit, temporary, project, files: ids, person: this.#store.user.peek()?.id ?? null });
  }

  /**
   * Whether files of the place belong to a temporary chat.
   * @param {string} place
   */
  #isTemporary(place) {
    const message = messageOf(place);
    if (message === null) return this.#store.isTemporary(place);
    return this.sendQueue.items.peek().find(({ id }) => id === message)?.temporary ?? false;
  }

  /**
   * @param {{chat?: string | null}} body
   * @param {import("./drafts.js").PutOptions} options
   */
  async #putDraft(body, options) {
    // The server stores no drafts for visitors, and does not know a chat that was begun here.
    const person = this.#store.user.peek()?.id;
    if (!person || (body.chat && this.sendQueue.isBegunHere(body.chat))) throw new Error("not yet");
    return api.saveDraft({ ...body, person }, options);
  }

  /**
   * Put the text back into the composer if it was just written there; else keep the message, with the reason.
   * @param {Item} item
   * @param {ApiError} error
   * @param {boolean} isAlone
   */
  #refused(item, error, isAlone) {
    const isHere = this.#store.chatId.peek() === item.chat;
    // The message stays in the transcript, which shows the reason and what can be done.
    if (isHere && error.code === CHAT_FULL) return false;
    this.#store.complain(error);
    const place = item.isNew ? newPlace(item.temporary) : item.chat;
    const isFree = [item.chat, place].every((one) => joined(this.drafts.get(one)) === "" && this.attachments.peekAt(composerPlace(one)).length === 0);
    if (!isAlone || !isHere || !isFree) return false;
    if (item.isNew) this.#store.openNew(item.temporary, item.project);
    this.attachments.moveBack(item.id, place);
    this.drafts.set(place, taken(item.text));
    this.handBack(item.text);
    return true;
  }

  /**
   * Adds chats that exist only here to the list, and marks them as loaded.
   * @param {Item[]} items
   */
  #showBegun(items) {
    const begun = new Map(items.filter((item) => item.isNew).map((item) => [item.chat, item]));
    for (const [chat, item] of begun) {
      if (!this.#begun.has(chat)) this.#store.showBegun(chat, item);
      this.#begun.set(chat, item.id);
    }
    for (const [chat, id] of this.#begun) {
      if (begun.has(chat)) continue;
      this.#begun.delete(chat);
      if (!this.sendQueue.wasStored(id)) this.#store.dropBegun(chat);
    }
  }
}
