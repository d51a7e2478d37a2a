// What was sent and is not in the log yet. A message has its id from the moment it is written, so
// sending it again is the same send. Within a chat they go out in order, each after the one before.
import { api, repeatUntilAnswered } from "./api.js";
import { uuid7 } from "./ids.js";
import { signal } from "../signals.js";

/** "sending": on its way. "waiting": no answer yet, tried again by itself. "sent": stored, not yet read back. */
export class Outbox {
  /** [{id, chat, text, model, parent, edit, status}] in the order written. */
  items = signal([]);

  #queues = new Map(); // chat -> the promise of its last send
  #wake;
  #onSent;
  #onRefused;
  #onWait;

  /**
   * @param wake an EventTarget whose "wake" ends waiting
   * @param onSent (item, response): the server has it
   * @param onWait (): no answer came, it is tried again later
   * @param onRefused (item, error): it will not take it; the text goes back to the person
   */
  constructor({ wake, onSent, onWait, onRefused }) {
    this.#wake = wake;
    this.#onSent = onSent;
    this.#onWait = onWait;
    this.#onRefused = onRefused;
  }

  of(chat) {
    return this.items.value.filter((item) => item.chat === chat);
  }

  /** Queue a message. `parentNow` is asked when its turn comes: by then the one before is known. */
  add({ chat, text, model, edit, parentNow }) {
    const item = { id: uuid7(), chat, text, model, edit, parent: null, createdMs: Date.now(), status: "sending" };
    this.items.value = [...this.items.peek(), item];
    const before = this.#queues.get(chat) ?? Promise.resolve(null);
    const turn = before.then((previousReply) => this.#send(item, parentNow(previousReply)));
    this.#queues.set(chat, turn);
    return item.id;
  }

  /** The log holds this message now. */
  confirm(messageId) {
    if (this.items.peek().some((item) => item.id === messageId)) this.#remove(messageId);
  }

  /** Gives the id of the reply, for what is sent after it. A refusal lets the next one pass. */
  async #send(item, parent) {
    const body = { id: item.id, text: item.text, model: item.model, parent, edit: item.edit };
    this.#set(item.id, { parent });
    try {
      const response = await repeatUntilAnswered(() => this.#try(item, body), {
        wake: this.#wake,
        onWait: () => {
          this.#set(item.id, { status: "waiting" });
          this.#onWait();
        },
      });
      this.#set(item.id, { status: "sent" });
      this.#onSent(item, response);
      return response.reply;
    } catch (error) {
      this.#remove(item.id);
      this.#onRefused(item, error);
      return null;
    }
  }

  #try(item, body) {
    this.#set(item.id, { status: "sending" });
    return api.send(item.chat, body);
  }

  #set(id, change) {
    this.items.value = this.items.peek().map((item) => (item.id === id ? { ...item, ...change } : item));
  }

  #remove(id) {
    this.items.value = this.items.peek().filter((item) => item.id !== id);
  }
}
