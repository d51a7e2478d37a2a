// The available models, and the one for the next answer.
import { batch, computed, signal } from "../../signals.js";
import { api } from "../api.js";
import { preferences } from "../preferences.js";
import { remember, remembered } from "../lib/storage.js";

const TRIES = 5;
const AGAIN_AFTER_MS = 10_000;

/**
 * A model as the server describes it.
 * @typedef {object} Model
 * @property {string} id
 * @property {string} name
 * @property {string} endpoint
 * @property {boolean} free
 * @property {number} [input_micro_usd] per million tokens, if credit pays for it
 * @property {number} [output_micro_usd]
 * @property {boolean} own_key whether it is called with the person's own key
 * @property {number | null} [context_tokens]
 * @property {string[]} [inputs] what it reads: "text", "image"; missing if that is text alone
 */

/**
 * The parts of the Store that are used here.
 * @typedef {object} Store
 * @property {import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<string | null>} chatId
 * @property {import("../list/chat_list.js").ChatList} list
 * @property {{ask: <T>(order: () => Promise<T>, options: {tries: number}) => Promise<T>}} commands
 */

export class ModelChoice {
  models;
  defaultModel;
  /** The model chosen here, by chat ("" for a new one). */
  #picked = signal(/** @type {Map<string, string | null>} */ (new Map()));
  #store;

  /**
   * @param {Store} store
   * @param {{models?: Model[], default_model?: string | null}} config
   */
  constructor(store, config) {
    this.#store = store;
    this.models = signal(/** @type {Model[]} */ (config.models ?? []));
    this.defaultModel = signal(/** @type {string | null} */ (config.default_model ?? null));
  }

  /** The id of the model for the chat on screen; null while no model is available. */
  current = computed(() => {
    const { chatId, list } = this.#store;
    /** @param {string | null | undefined} id */
    const known = (id) => Boolean(id) && this.models.value.some((model) => model.id === id);
    const picked = this.#picked.value.get(chatId.value ?? "");
    const ofChat = chatId.value && list.get(chatId.value)?.model;
    const wanted = [picked, ofChat, preferences.value.default_model, remembered("model"), this.defaultModel.value];
    return wanted.find(known) ?? this.models.value[0]?.id ?? null;
  });

  /** The server's description of that model; undefined while no model is available. */
  shown = computed(() => this.models.value.find((model) => model.id === this.current.value));

  /** @param {string} id */
  pick(id) {
    this.keepFor(this.#store.chatId.peek(), id);
    remember("model", id);
  }

  /**
   * Choose a model for this chat only, on this page.
   * @param {string | null} chat
   * @param {string | null} id
   */
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
    if (models.length === 0) setTimeout(() => void this.load(), AGAIN_AFTER_MS);
  }
}
