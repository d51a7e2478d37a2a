// The state of the page, and the actions of a person on it. Views read its signals and call its
// actions; confirmed state arrives only through the connection.
import { batch, computed, effect, signal } from "../signals.js";
import { addressOf, chatInAddress, isTemporaryAddress, projectInAddress } from "./address.js";
import { Answers } from "./answers.js";
import { api, CHAT_FULL, CREDIT_HELD, readWhole } from "./api.js";
import { ChatList, startTitle } from "./list/chat_list.js";
import { keepTime } from "./list/clock.js";
import { Commands } from "./commands.js";
import { Credit } from "./credit.js";
import { fileOf } from "./files/attachments.js";
import { composerPlace, editPlace } from "./files/places.js";
import { Finding } from "./list/finding.js";
import { uuid7 } from "./lib/ids.js";
import { VISITOR } from "./local/database.js";
import { ModelChoice } from "./compose/model_choice.js";
import { newPlace } from "./compose/drafts.js";
import { OpenedChats } from "./log/opened_chats.js";
import { Projects } from "./list/projects.js";
import { preferences, takePreferences, togglePinned } from "./preferences.js";
import { ReadingPlaces } from "./reading_places.js";
import { Sending } from "./compose/sending.js";
import { Connection } from "./log/socket.js";
import { text } from "./text.js";
import { UnseenEnds } from "./list/unseen_ends.js";
import { Toasts } from "./lib/toasts.js";

// How long the way back to a temporary chat is offered.
const LEFT_MS = 15_000;
// When a connection ends in one of these states, the person's data is erased from this browser.
const SHUT_OUT = new Set(["signed-out", "suspended"]);

export class Store {
  user;
  list;
  finding;
  /** The chats whose answer ended while the page was hidden. */
  unseen;
  sending;
  sendQueue;
  drafts;
  attachments;
  /** What this browser stores of the person. */
  own;
  connection;
  credit;
  toasts = new Toasts();
  projects = new Projects();
  commands;
  answers = new Answers(this);
  places = new ReadingPlaces();
  /** The id of the chat on screen; null for a new one. */
  chatId = signal(null);
  /** Whether a chat that is begun now is a temporary one. */
  willBeTemporary = signal(false);
  /** The id of the project in which a chat that is begun now begins, or null. */
  #willBeIn = signal(null);
  /** The last quotation for the composer: {text, isTaken}, or null. */
  quoted = signal(null);

  #config;
  #opened;
  #choice;
  /** Gets "wake" when the server may be reachable again. */
  wake = new EventTarget();
  #wasWelcomed = false;

  /** @param config the data that the server put on the page, or the stored copy; @param own an OwnStore */
  constructor(config, own) {
    this.#config = config;
    this.own = own;
    this.credit = new Credit(config.balance, () => this.#choice.shown.value?.free ?? false);
    this.commands = new Commands(this.wake, (error) => this.complain(error));
    this.user = signal(config.user);
    takePreferences(config.settings);
    this.projects.take(config.projects);
    this.list = new ChatList(config.chats ?? [], config.cursor ?? null, config.chats_next ?? null, (id) => void this.finding.fetch(id));
    this.finding = new Finding(this);
    this.unseen = new UnseenEnds(this.list, {
      end: (chat) => void this.#notifications((module) => module.notifyOfEnd(chat)),
      seen: (ids) => void this.#notifications((module) => module.closeNotifications(ids)),
      back: () => void this.#notifications((module) => module.offerNotifications(this.toasts, () => this.#subscribe())),
    });
    this.chatId.value = config.chat ?? chatInAddress();
    this.willBeTemporary.value = isTemporaryAddress();
    this.#willBeIn.value = projectInAddress();
    this.places.enter(this.chatId.peek());
    this.#choice = new ModelChoice(this, config);
    this.#opened = new OpenedChats(own.chats, readWhole, () => this.connection.follow());
    if (config.glimpse?.length > 0) this.#opened.open(config.chat).showGlimpse(config.glimpse);
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.connection = new Connection(`${scheme}//${location.host}${config.ws_path ?? "/ws"}`, {
      onFrame: (frame) => this.#received(frame),
      onLive: (chat, cursor) => (chat ? this.#caughtUp(chat) : this.list.advance(cursor)),
      onReset: () => void this.#reloadList(),
      onWelcome: (message) => this.#welcomed(message),
      onUser: (message) => this.#became(message),
      onBalance: (balance) => {
        this.credit.set(balance);
        this.sendQueue.sendWaitingFor(CREDIT_HELD);
      },
      onProjects: (projects) => this.projects.take(projects),
      onDraft: (draft) => this.drafts.receive(draft),
      onProblem: (message) => this.#problem(message),
      // Another person has signed in; this page still shows the former one's chats.
      onSomebodyElse: () => location.reload(),
      person: () => this.user.peek()?.id,
      watchFrom: () => this.list.resumeFrom,
      followed: () => this.#followed(),
    }, WebSocket, () => import("./log/poll_socket.js"));
    this.sending = new Sending(this, own);
    this.sendQueue = this.sending.sendQueue;
    this.drafts = this.sending.drafts;
    this.attachments = this.sending.attachments;
    if (own.before) this.drafts.rename(own.before, own.owner);
    this.drafts.erase(own.owner);
    if (!config.isShell) this.drafts.load(config.drafts ?? [], config.drafts_more);
  }

  /** The chat on screen, or null when it is a new one. */
  current = computed(() => (this.chatId.value ? this.#open(this.chatId.value) : null));

  /** The name of the draft in the composer. */
  draftPlace = computed(() => this.chatId.value ?? newPlace(this.willBeTemporary.value));

  /** After how many days without a visit a guest is deleted. */
  get guestDays() {
    return this.#config.guest_days ?? 30;
  }

  /** Whether sound can be turned into text for this person. */
  get canTranscribe() {
    return this.#config.canTranscribe ?? false;
  }

  /** After how many hours without a message a temporary chat is erased. */
  get temporaryHours() {
    return this.#config.temporary_hours ?? 24;
  }

  /** Whether a provider reads answers aloud to this person. */
  get canSpeak() {
    return this.#config.canSpeak ?? false;
  }

  /** Whether the chat on screen is a temporary one. */
  isInTemporary = computed(() => {
    const open = this.current.value;
    return Boolean(open && (open.isTemporary.value || this.list.get(open.id)?.temporary));
  });

  /** The project of the chat on screen, or of the one that is begun now; null if there is none. */
  projectShown = computed(() => {
    const id = this.chatId.value;
    return this.projects.get(id ? this.list.get(id)?.project : this.#willBeIn.value);
  });

  /** Whether nothing of this chat may be stored here. */
  isTemporary(id) {
    return Boolean(this.list.chats.peek().get(id)?.temporary || this.#opened.get(id)?.transcript.temporary);
  }

  get models() {
    return this.#choice.models;
  }

  /** A model that needs no credit, unless the chosen one needs none: preferably not one with an own key. */
  get freeModel() {
    const free = this.models.value.filter((model) => model.free);
    return this.#choice.shown.value?.free ? undefined : free.find((model) => !model.own_key) ?? free[0];
  }

  /** The id of the model for the next answer. */
  get model() {
    return this.#choice.current;
  }

  // Lifecycle

  start() {
    if (this.user.peek()) this.connection.start();
    void this.sending.start().then(() => this.connection.follow());
    this.own.keepPage(() => this.#snapshot());
    effect(() => SHUT_OUT.has(this.connection.state.value.kind) && this.forget());
    window.addEventListener("online", () => this.wakeUp());
    window.addEventListener("popstate", () => this.#traversed(chatInAddress()));
    window.addEventListener("pagehide", () => (this.sendQueue.saveNow(), this.#putAway(), this.#leave(this.chatId.peek())));
    window.addEventListener("beforeunload", (event) => this.sending.wouldLose && event.preventDefault());
    document.addEventListener("visibilitychange", () => document.visibilityState === "hidden" && this.#putAway());
    this.finding.start();
    this.unseen.start();
    // A notification of the chat was clicked (static/js/service_worker.js).
    navigator.serviceWorker?.addEventListener("message", ({ data }) => data?.openChat && this.openChat(data.openChat));
    effect(() => void (this.user.value && this.#subscribe()));
    keepTime();
    for (const notice of this.#config.notices ?? []) this.toasts.show(notice);
    if (this.models.peek().length === 0 || this.#config.models_more) void this.#choice.load();
  }

  /** Erase the person's data from this browser, because they sign out or are suspended. */
  async forget() {
    this.drafts.erase();
    this.places.forget();
    void this.#notifications((module) => module.closeNotifications());
    if (this.#config.push) void this.#push((module) => module.unsubscribe());
    await this.own.erase();
    this.sendQueue.forget();
    this.attachments.forget();
  }

  /** The server may be reachable again: retry everything that waits. */
  wakeUp() {
    this.wake.dispatchEvent(new Event("wake"));
    this.sendQueue.sendNow();
    void this.drafts.flush();
  }

  // Actions: navigation

  /** Show a chat (null: a new one, which may be temporary or in a project) and make it the address of the page. */
  openChat(id, message = null, isTemporary = false, project = null) {
    const isSame = isTemporary === this.willBeTemporary.peek() && project === this.#willBeIn.peek();
    if (id !== this.chatId.peek() || !isSame || message) {
      this.places.leave(this.chatId.peek());
      this.places.push(addressOf(id, { isStored: this.#isStored(id), isTemporary, project, message }));
    }
    this.#show(id);
  }

  /** Show the page of a new chat. If it is shown already, what is written there stays. */
  openNew(isTemporary = false, project = null) {
    if (this.chatId.peek()) return this.openChat(null, null, isTemporary, project);
    this.setTemporary(isTemporary);
    if (project === this.#willBeIn.peek()) return undefined;
    this.places.replace(addressOf(null, { isTemporary, project }));
    return (this.#willBeIn.value = project);
  }

  /** On the page of a new chat: whether that will be a temporary one. What is written already moves along. */
  setTemporary(isTemporary) {
    if (isTemporary === this.willBeTemporary.peek()) return;
    const written = this.drafts.get(this.draftPlace.peek());
    if (written.text || written.pastes.length > 0) {
      this.drafts.set(this.draftPlace.peek(), { text: "", pastes: [] });
      this.drafts.set(newPlace(isTemporary), written);
    }
    this.attachments.move(composerPlace(this.draftPlace.peek()), composerPlace(newPlace(isTemporary)));
    this.places.replace(addressOf(null, { isTemporary }));
    this.#willBeIn.value = null;
    this.willBeTemporary.value = isTemporary;
  }

  /** Make a temporary chat an ordinary one. The log says when it is one. */
  keepChat(id) {
    return this.commands.runInOrder(id, async () => {
      await api.keep(id);
      this.toasts.show(text.temporaryKept);
    });
  }

  pickModel(id) {
    this.#choice.pick(id);
    // A model that costs nothing can answer a message that was refused for lack of credit.
    if (this.#choice.shown.peek()?.free) this.credit.refused.value = null;
  }

  /** Pin a model on all devices of the person, or unpin it. */
  pinModel(id) {
    const { pinned, undo } = togglePinned(id);
    return this.commands.runInOrder("pinned_models", () => api.saveSettings(this.user.peek()?.id, { pinned_models: pinned }), undo);
  }

  // Actions: messages

  /** Send a text with the files of the composer. */
  send(content) {
    const parent = this.current.peek()?.path().at(-1)?.id ?? null;
    this.#dispatch(content, { edit: false, parent, place: composerPlace(this.draftPlace.peek()) });
  }

  /** Add a quotation to the message that is being written. */
  quote(quotation) {
    if (quotation) this.quoted.value = { text: quotation, isTaken: false };
  }

  /** Edit a user message: the new text, with the files of the editor, becomes a sibling, and the old message stays. */
  edit(message, content) {
    const reply = this.current.peek().replyTo(message);
    // An answer that has not begun yet is no longer wanted.
    if (reply?.status === "queued") this.answers.stop(reply.id);
    this.#dispatch(content, { edit: true, parent: message.parent, place: editPlace(message.id) });
  }

  /** Show why something was refused. If credit is short or the chat is full, also show what can be done. */
  complain(error) {
    const way = error.code === CHAT_FULL ? { label: text.newChat, run: () => this.openNew(this.isInTemporary.peek(), this.projectShown.peek()?.id ?? null) } : {};
    if (!this.credit.takesRefusal(error)) this.toasts.show(error.message, { isProblem: true, ...way });
  }

  // Called by the send queue

  /** A visitor has become this guest, with a file. */
  becomes(user) {
    this.#became({ user });
    this.connection.start();
  }

  sent(item, { user } = {}) {
    if (user) this.#became({ user });
    this.credit.refused.value = null;
    // The first send creates the guest, so a socket can be opened now. A server that answered here is also
    // reachable for the socket.
    this.connection.start();
    this.connection.retryNow();
    if (item.chat !== this.chatId.peek()) return;
    if (item.isNew) this.places.replace(addressOf(item.chat));
    if (!this.#opened.get(item.chat)?.cursor) this.connection.follow();
  }

  /** A chat was begun here that the server does not know yet. */
  showBegun(chat, { text: content, model, temporary, project, createdMs, files }) {
    const title = temporary ? "" : startTitle(content || (files?.[0]?.name ?? ""));
    this.list.apply(chat, [[`${createdMs}-0`, { type: "chat.created", chat, title, model, temporary, project }]]);
    const open = this.#opened.get(chat);
    open?.begin();
  }

  /** The first message of the chat was withdrawn before it was sent. */
  dropBegun(chat) {
    this.list.drop(chat);
    if (this.chatId.peek() === chat) this.openChat(null);
  }

  // Private: incoming

  #received({ chat, entries, watch = false }) {
    batch(() => {
      this.list.apply(chat, entries);
      if (entries.some(([, data]) => data.type === "chat.restored")) this.#followAgain(chat);
      // Watched entries have no text, so they update only the list; the fold takes those of a follow.
      if (watch) this.list.advance(entries.at(-1)[0]);
      else this.#opened.get(chat)?.fold(entries);
      for (const [, data] of entries) this.#note(chat, data);
    });
  }

  #caughtUp(chat) {
    this.#opened.get(chat)?.caughtUp();
    // The chat was begun in this browser, by a page that was closed before it learnt that the chat was stored.
    if (chat === this.chatId.peek() && location.pathname === "/") this.places.replace(addressOf(chat));
  }

  #note(chat, data) {
    if (data.type === "message.created") this.sendQueue.confirm(data.message);
    else if (data.type === "message.completed" || data.type === "message.error") this.answers.ended(data.message);
    else if (data.type === "chat.deleted") void this.#opened.forget(chat);
  }

  /** A chat that was deleted has been restored. */
  #followAgain(chat) {
    const open = this.#opened.get(chat);
    if (!open?.problem.peek()) return;
    open.problem.value = null;
    if (chat === this.chatId.peek()) this.connection.follow();
  }

  #welcomed({ user, settings, balance, projects }) {
    this.projects.take(projects);
    this.#became({ user: user ?? this.user.peek(), settings });
    if (balance !== undefined) this.credit.set(balance);
    if (this.#config.isShell) void this.#choice.load();
    this.wakeUp();
    if (this.#wasWelcomed || this.#config.isShell) void this.drafts.missedSome(this.chatId.peek());
    this.#wasWelcomed = true;
  }

  /** Take the person and their settings as the server has them now. */
  #became({ user, settings }) {
    if (user && this.own.adopt(user)) this.drafts.rename(VISITOR, user.id);
    batch(() => {
      this.user.value = user;
      if (settings) takePreferences(settings);
    });
  }

  #problem({ code, message, chat }) {
    const id = chat ?? this.chatId.peek();
    const open = this.#opened.get(id);
    if (!open || code !== "chat_not_found") return this.toasts.show(message, { isProblem: true });
    if (!this.#isStored(id)) return undefined;
    void this.#opened.forget(id);
    this.drafts.forget(id);
    this.attachments.clear(composerPlace(id));
    return (open.problem.value = { code, message });
  }

  #followed() {
    const id = this.chatId.peek();
    // A chat that exists only here cannot be followed until the server has stored it.
    if (!id || !this.sendQueue.isLoaded || !this.#isStored(id)) return null;
    const open = this.#open(id);
    return open.isReady.peek() ? { chat: id, after: open.cursor } : null;
  }

  #isStored(id) {
    return !this.sendQueue.isBegunHere(id);
  }

  async #reloadList() {
    const { chats, cursor, next } = await this.commands.ask(() => api.chats());
    this.list.load(chats, cursor, next);
  }

  // Private: shown and stored

  #traversed(id) {
    this.places.traverse(this.chatId.peek(), id);
    this.#show(id);
  }

  #show(id) {
    const before = this.chatId.peek();
    batch(() => {
      this.chatId.value = id;
      this.willBeTemporary.value = isTemporaryAddress();
      this.#willBeIn.value = projectInAddress();
    });
    if (before && before !== id) this.#leave(before, { isHere: true });
    void this.drafts.open(id);
    this.connection.follow();
  }

  #open(id) {
    return this.#opened.open(id, { isNew: this.sendQueue?.isBegunHere(id) });
  }

  /** The config that the server would put on the page now; read by an effect. */
  #snapshot() {
    this.list.chats.value;
    const { models, defaultModel } = this.#choice;
    return {
      ...this.#config,
      notices: [],
      ...this.list.snapshot(),
      user: this.user.value,
      settings: preferences.value,
      projects: this.projects.all.value,
      models: models.value,
      default_model: defaultModel.value,
      balance: this.credit.balance.value,
    };
  }

  /** The module is loaded when it is first needed. Without it, the page lacks nothing but notifications. */
  #notifications(use) {
    return import("./notifications.js").then(use).catch(() => {});
  }

  #push(use) {
    return import("./push.js").then(use).catch(() => {});
  }

  /** Have the server tell this browser of answers that end while it is closed. */
  #subscribe() {
    const { push } = this.#config;
    const person = this.user.peek()?.id;
    if (!push || !person || globalThis.Notification?.permission !== "granted") return;
    void this.#push((module) => module.subscribe(push, person));
  }

  /** A temporary chat is erased soon after it was left. The server finds out about a page that is reloaded. */
  #leave(id, { isHere = false } = {}) {
    if (!id || !this.isTemporary(id) || !this.#isStored(id) || this.list.chats.peek().get(id)?.deleted_ms) return;
    // A page that goes on tells the server when it is reachable again. One that is closed has one chance.
    void (isHere ? this.commands.ask(() => api.leave(id)) : api.leave(id)).catch(() => {});
    if (isHere) this.toasts.show(text.temporaryLeft, { label: text.temporaryBack, run: () => this.openChat(id), forMs: LEFT_MS });
  }

  #putAway() {
    this.places.leave(this.chatId.peek());
    this.places.leaveTab(location.pathname);
    this.commands.putAway();
    void this.drafts.flush({ keepalive: true });
    void this.#opened.saveNow();
    this.own.keepPageNow();
  }

  // Private: outgoing

  #dispatch(content, { edit, parent, place }) {
    const chat = this.chatId.peek() ?? uuid7();
    const isNew = this.chatId.peek() === null;
    const temporary = isNew ? this.willBeTemporary.peek() : this.isTemporary(chat);
    const begins = isNew || this.sendQueue.isBegunHere(chat);
    const project = begins ? this.projectShown.peek()?.id ?? null : null;
    const model = this.model.peek();
    if (isNew) this.#opened.open(chat, { isNew });
    const files = this.attachments.peekAt(place).map(fileOf);
    const message = this.sendQueue.add({ chat, text: content, model, edit, parent, isNew, temporary, project, files });
    this.attachments.moveToMessage(place, message);
    if (!isNew) return;
    this.#choice.keepFor(chat, model);
    this.openChat(chat);
  }
}
