// The state of the page and what a person can do to it. Views read its signals and call its
// actions; the truth comes in through the connection and nowhere else.
import { batch, computed, signal } from "../signals.js";
import { api, repeatUntilAnswered } from "./api.js";
import { ChatList } from "./chat_list.js";
import { keepTime } from "./clock.js";
import { Credit } from "./credit.js";
import { Finding } from "./finding.js";
import { uuid7 } from "./ids.js";
import { OpenChat } from "./open_chat.js";
import { Outbox } from "./outbox.js";
import { preferences, takePreferences } from "./preferences.js";
import { Connection } from "./socket.js";
import { remember, remembered, saveDraft } from "./storage.js";
import { text } from "./text.js";
import { Toasts } from "./toasts.js";

const CHATS_IN_MEMORY = 12;
const COMMAND_TRIES = 5;

export class Store {
  user;
  models;
  defaultModel;
  list;
  finding;
  outbox;
  connection;
  credit;
  toasts = new Toasts();
  /** The id of the chat on screen; null for a new one. */
  chatId = signal(null);
  /** A text put into the composer from elsewhere: {text, at}. */
  handedBack = signal(null);
  /** Answers whose stop is on its way. */
  stopping = signal(new Set());
  /** The model chosen here, by chat ("" for a new one). */
  #picked = signal(new Map());

  #opened = new Map(); // chat id -> OpenChat, least recently used first
  #wake = new EventTarget();

  constructor(config) {
    this.user = signal(config.user);
    takePreferences(config.settings);
    this.models = signal(config.models ?? []);
    this.defaultModel = signal(config.default_model ?? null);
    this.list = new ChatList(config.chats ?? [], config.cursor ?? null, config.chats_next ?? null, (id) => this.finding.fetch(id));
    this.finding = new Finding(this);
    this.credit = new Credit(config.balance);
    this.chatId.value = config.chat ?? null;
    this.outbox = new Outbox({
      wake: this.#wake,
      onSent: (item, response) => this.#sent(item, response),
      onWait: () => this.connection.suspect(),
      onRefused: (item, error) => this.#refused(item, error),
    });
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.connection = new Connection(`${scheme}//${location.host}${config.ws_path ?? "/ws"}`, {
      onFrame: (frame) => this.#received(frame),
      onLive: (chat, cursor) => (chat ? this.#opened.get(chat)?.caughtUp() : this.list.advance(cursor)),
      onReset: () => this.#reloadList(),
      onWelcome: (message) => this.#welcomed(message),
      onUser: (message) => this.#became(message),
      onBalance: (balance) => this.credit.set(balance),
      onProblem: (message) => this.#problem(message),
      watchFrom: () => this.list.resumeFrom,
      followed: () => this.#followed(),
    });
  }

  /** The chat on screen, or null when it is a new one. */
  current = computed(() => (this.chatId.value ? this.#open(this.chatId.value) : null));

  model = computed(() => {
    const known = (id) => id && this.models.value.some((model) => model.id === id);
    const picked = this.#picked.value.get(this.chatId.value ?? "");
    const ofChat = this.list.get(this.chatId.value)?.model;
    const wanted = [picked, ofChat, preferences.value.default_model, remembered("model"), this.defaultModel.value];
    return wanted.find(known) ?? this.models.value[0]?.id ?? null;
  });

  // Lifecycle

  start() {
    if (this.user.peek()) this.connection.start();
    window.addEventListener("online", () => this.#wake.dispatchEvent(new Event("wake")));
    window.addEventListener("popstate", () => this.#show(chatInPath()));
    this.finding.start();
    keepTime();
    if (this.models.peek().length === 0) this.#loadModels();
  }

  // Actions: where one is

  /** Show a chat (null: a new one) and make it the address of the page. */
  openChat(id, message = null) {
    if (id !== this.chatId.peek() || message) history.pushState(null, "", addressOf(id, message));
    this.#show(id);
  }

  pickModel(id) {
    this.#picked.value = new Map(this.#picked.peek()).set(this.chatId.peek() ?? "", id);
    remember("model", id);
  }

  // Actions: messages

  send(content) {
    const open = this.current.peek();
    const parentNow = (previousReply) => previousReply ?? this.#lastShown(open);
    this.#dispatch(content, { edit: false, parentNow });
  }

  /** Write a user message anew: a sibling, the old one stays. */
  edit(message, content) {
    this.#dispatch(content, { edit: true, parentNow: () => message.parent });
  }

  sendWaitingNow() {
    this.#wake.dispatchEvent(new Event("wake"));
  }

  stop(messageId) {
    this.stopping.value = new Set(this.stopping.peek()).add(messageId);
    const chat = this.chatId.peek();
    return this.#command(() => api.stop(chat, messageId), () => this.#notStopping(messageId));
  }

  stopAll() {
    const answering = this.current.peek()?.answering() ?? [];
    for (const message of answering) this.stop(message.id);
    return answering.length > 0;
  }

  regenerate(answer, model) {
    const chat = this.chatId.peek();
    const body = { id: uuid7(), parent: answer.parent, model: model ?? this.model.peek() };
    return this.#command(() => api.regenerate(chat, body));
  }

  goOn(messageId) {
    const chat = this.chatId.peek();
    return this.#command(() => api.goOn(chat, messageId));
  }

  choose(message) {
    const open = this.current.peek();
    const takeBack = open.chooseLocally(message);
    const change = uuid7();
    return this.#command(() => api.choose(open.id, message.id, change), takeBack);
  }

  // Actions: chats

  /** What the model is told in this chat. Fails with an ApiError: whoever asks keeps the text. */
  instruct(id, instructions) {
    return repeatUntilAnswered(() => api.instruct(id, instructions), { wake: this.#wake, tries: COMMAND_TRIES });
  }

  // Private: what comes in

  #received({ chat, entries, watch = false }) {
    batch(() => {
      this.list.apply(chat, entries);
      // What is watched comes without its text: it is for the list, and the fold waits for a follow.
      if (entries.some(([, data]) => data.type === "chat.restored")) this.#followAgain(chat);
      if (watch) this.list.advance(entries.at(-1)[0]);
      else if (this.#opened.has(chat)) this.#fold(this.#opened.get(chat), entries);
    });
  }

  /** A chat that was refused as deleted is there again. */
  #followAgain(chat) {
    const open = this.#opened.get(chat);
    if (!open?.problem.peek()) return;
    open.problem.value = null;
    if (chat === this.chatId.peek()) this.connection.follow();
  }

  #fold(open, entries) {
    open.fold(entries);
    for (const [, data] of entries) {
      if (data.type === "message.created") this.outbox.confirm(data.message);
      else if (data.type === "message.completed" || data.type === "message.error") this.#notStopping(data.message);
    }
  }

  /** The server is there: what waits to be sent need not wait longer. */
  #welcomed({ user, settings, balance }) {
    const before = this.user.peek();
    // Signed in as somebody else in another tab: what is shown here is not theirs.
    if (user && before && user.id !== before.id) return location.reload();
    this.#became({ user: user ?? this.user.peek(), settings });
    if (balance !== undefined) this.credit.set(balance);
    this.#wake.dispatchEvent(new Event("wake"));
  }

  /** Who one is or what one has set, as it is now. */
  #became({ user, settings }) {
    batch(() => {
      this.user.value = user;
      if (settings) takePreferences(settings);
    });
  }

  #problem({ code, message, chat }) {
    const open = this.#opened.get(chat ?? this.chatId.peek());
    if (open && code === "chat_not_found") open.problem.value = { code, message };
    else this.toasts.show(message, { isProblem: true });
  }

  #followed() {
    const id = this.chatId.peek();
    // A chat that only exists here yet cannot be followed; it is once the server has taken it.
    if (!id || !this.#isStored(id)) return null;
    return { chat: id, after: this.#open(id).cursor };
  }

  #isStored(id) {
    return this.list.has(id) || !this.outbox.items.peek().some((item) => item.chat === id && item.status !== "sent");
  }

  async #reloadList() {
    const { chats, cursor, next } = await repeatUntilAnswered(() => api.chats(), { wake: this.#wake });
    this.list.load(chats, cursor, next);
  }

  async #loadModels() {
    const { models, default: first } = await repeatUntilAnswered(() => api.models(), { wake: this.#wake, tries: COMMAND_TRIES });
    batch(() => {
      this.models.value = models;
      this.defaultModel.value = first;
    });
  }

  // Private: chats in memory

  #show(id) {
    this.chatId.value = id;
    this.connection.follow();
  }

  #open(id) {
    const open = this.#opened.get(id) ?? new OpenChat(id, () => readWhole(id), () => this.connection.follow());
    this.#opened.delete(id);
    this.#opened.set(id, open);
    for (const oldest of this.#opened.keys()) {
      if (this.#opened.size <= CHATS_IN_MEMORY) break;
      this.#opened.delete(oldest);
    }
    return open;
  }

  #lastShown(open) {
    return open?.path().at(-1)?.id ?? null;
  }

  // Private: what goes out

  #dispatch(content, { edit, parentNow }) {
    const chat = this.chatId.peek() ?? uuid7();
    const isNew = this.chatId.peek() === null;
    const model = this.model.peek();
    this.outbox.add({ chat, text: content, model, edit, parentNow });
    if (!isNew) return;
    const opened = this.#open(chat);
    opened.isLoaded.value = true;
    this.#picked.value = new Map(this.#picked.peek()).set(chat, model);
    this.openChat(chat);
  }

  #sent(item, { user } = {}) {
    if (user) this.user.value = user;
    saveDraft(item.chat, "");
    this.credit.refused.value = null;
    // The first send made the guest: now there is somebody to open a socket for. And a server that
    // answers here is there for the socket too.
    this.connection.start();
    this.connection.retryNow();
    const isFollowing = this.#opened.get(item.chat)?.cursor;
    if (item.chat === this.chatId.peek() && !isFollowing) this.connection.follow();
  }

  #refused(item, error) {
    if (!this.credit.takesRefusal(error)) this.toasts.show(error.message, { isProblem: true });
    const isEmptyChat = !this.list.has(item.chat);
    if (item.chat === this.chatId.peek() && isEmptyChat) this.openChat(null);
    if (item.chat !== this.chatId.peek() && !isEmptyChat) saveDraft(item.chat, item.text);
    else this.handedBack.value = { text: item.text, at: Date.now() };
  }

  /** The same for those who act through the store. */
  command(order, takeBack) {
    return this.#command(order, takeBack);
  }

  /** Carry out an order; when it fails for good, undo what was shown and say why. */
  async #command(order, takeBack = () => {}) {
    try {
      await repeatUntilAnswered(order, { wake: this.#wake, tries: COMMAND_TRIES });
    } catch (error) {
      takeBack();
      if (!this.credit.takesRefusal(error)) this.toasts.show(error.message, { isProblem: true });
    }
  }

  #notStopping(messageId) {
    if (!this.stopping.peek().has(messageId)) return;
    const rest = new Set(this.stopping.peek());
    rest.delete(messageId);
    this.stopping.value = rest;
  }
}

async function readWhole(chat) {
  const entries = [];
  for (let more = true; more; ) {
    const page = await api.events(chat, entries.at(-1)?.[0]);
    entries.push(...page.entries);
    more = page.more && page.entries.length > 0;
  }
  return entries;
}

const addressOf = (id, message) => `${id ? `/c/${id}` : "/"}${message ? `#m-${message}` : ""}`;
const chatInPath = () => location.pathname.match(/^\/c\/([0-9a-f-]{36})$/)?.[1] ?? null;
