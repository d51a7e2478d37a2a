// The commands for the answers of the chat on screen: stop them, ask for another one, continue one,
// choose among several.
import { api } from "./api.js";
import { uuid7 } from "./lib/ids.js";
import { signal } from "../signals.js";

export class Answers {
  /** The message ids of answers that have been asked to stop. */
  stopping = signal(new Set());
  #store;

  constructor(store) {
    this.#store = store;
  }

  stop(messageId) {
    this.stopping.value = new Set(this.stopping.peek()).add(messageId);
    const chat = this.#store.chatId.peek();
    return this.#store.commands.run(() => api.stop(chat, messageId), () => this.ended(messageId));
  }

  /** Returns whether an answer was being written. */
  stopAll() {
    const answering = this.#store.current.peek()?.answering() ?? [];
    for (const message of answering) this.stop(message.id);
    return answering.length > 0;
  }

  regenerate(answer, model) {
    const chat = this.#store.chatId.peek();
    const body = { id: uuid7(), parent: answer.parent, model: model ?? this.#store.model.peek() };
    return this.#store.commands.run(() => api.regenerate(chat, body));
  }

  /** Stop an answer that waits, and ask another model instead. */
  switchModel(answer, model) {
    void this.stop(answer.id);
    return this.regenerate(answer, model);
  }

  goOn(messageId) {
    const chat = this.#store.chatId.peek();
    return this.#store.commands.run(() => api.goOn(chat, messageId));
  }

  choose(message) {
    const open = this.#store.current.peek();
    const takeBack = open.chooseLocally(message);
    const change = uuid7();
    return this.#store.commands.runInOrder(open.id, () => api.choose(open.id, message.id, change), takeBack);
  }

  /** The answer has ended, or could not be stopped. */
  ended(messageId) {
    if (!this.stopping.peek().has(messageId)) return;
    const rest = new Set(this.stopping.peek());
    rest.delete(messageId);
    this.stopping.value = rest;
  }
}
