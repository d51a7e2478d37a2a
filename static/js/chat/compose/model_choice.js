// The available models, and the one for the next answer.
import { batch, computed, signal } from "../../signals.js";
import { api } from "../api.js";
import { preferences } from "../preferences.js";
import { remember, remembered } from "../lib/storage.js";

const TRIES = 5;
const AGAIN_AFTER_MS = 10_000;

export class ModelChoice {
  models;
  defaultModel;
  /** The model chosen here, by chat ("" for a new one). */
  #picked = signal(new Map());
  #store;

  constructor(store, config) {
    this.#store = store;
    this.models = signal(config.models ?? []);
    this.defaultModel = signal(config.default_model ?? null);
  }

  /** The id of the model for the chat on screen; null while no model is available. */
  current = computed(() => {
    const { chatId, list } = this.#store;
    const known = (id) => id && this.models.value.some((model) => model.id === id);
    const picked = this.#picked.value.get(chatId.value ?? "");
    const ofChat = list.get(chatId.value)?.model;
    const wanted = [picked, ofChat, preferences.value.default_model, remembered("model"), this.defaultModel.value];
    return wanted.find(known) ?? this.models.value[0]?.id ?? null;
  });

  /** The server's description of that model; undefined while no model is available. */
  shown = computed(() => this.models.value.find((model) => model.id === this.current.value));

  pick(id) {
    this.keepFor(this.#store.chatId.peek(), id);
    remember("model", id);
  }

  /** Choose a model for this chat only, on this page. */
  keepFor(chat, id) {
    this.#picked.value = new Map(this.#picked.peek()).set(chat ?? "", id);
  }

  /** Load the models from the server. If there are none, ask again later, because a model may be starting. */
  async load() {
    const { models, default: first } = await this.#store.commands.ask(() => api.models(), { tries: TRIES });
    batch(() => {
      this.models.value = models;
      this.defaultModel.value = first;
    });
    if (models.length === 0) setTimeout(() => this.load(), AGAIN_AFTER_MS);
  }
}
