// One WebSocket per tab. It watches the person's stream (the sidebar) and follows the open chat; both
// resume after the last entry seen, so a reconnect loses nothing. The state is "live" only after the
// server has reported that replay has caught up.
//
// Where no WebSocket gets through, or none lasts, HTTP replaces it (poll_socket.js). A WebSocket is
// then tried beside it now and then, and takes over once messages have passed in both directions.
import { atOnceMs, backoffMs } from "../lib/backoff.js";
import { signal } from "../../signals.js";
import { Acks, Timers } from "./timers.js";
import { TransportChoice } from "./transport_choice.js";

// The default, until the server's welcome gives another value.
const HEARTBEAT_MS = 25_000;
const PONG_WITHIN_MS = 8_000;
// Shorter, because a dead socket is likely after sleep or a network change.
const AWAKE_PONG_WITHIN_MS = 3_000;
const LATER_MS = 20_000;
// A guest has become an account, perhaps in another tab. Until the response with the new cookie arrives, the old cookie
// is not valid.
const CHANGING_MS = 15_000;
// A socket that is silent for this long while a replay is awaited counts as blocked.
const ANSWER_WITHIN_MS = 6_000;
const POLL_ANSWER_WITHIN_MS = 20_000;
const DOUBT_MS = 3_000;

const CLOSE = { NORMAL: 1000, RESTARTS: [1000, 1001, 1005, 1006, 1012, 4408, 4503], SIGN_IN: 4401, STOP: [4400, 4403], SUSPENDED: 4410, CHANGED: 4409, LATER: 4429, DEAD: 4000 };
const FIRST_OF_OURS = 4000;

// What the server sends, see docs/protocol.md.
/** @typedef {{id: string, name: string, email: string | null, is_guest: boolean, is_staff?: boolean, picture?: string | null}} User */
/** @typedef {Record<string, any>} Settings */
/** @typedef {import("../list/projects.js").Project} Project */
/** @typedef {Record<string, any> | null} Balance null where nobody pays */
/** @typedef {[id: string, data: import("./fold.js").EventData]} Entry */
/** @typedef {{chat: string, entries: Entry[], watch?: boolean}} Frame */

/**
 * @typedef {{entries?: undefined, user?: User | null} & (
 *   {type: "welcome", heartbeat_ms?: number, user: User | null, settings?: Settings, balance: Balance, projects?: Project[]}
 *   | {type: "live", chat: string | null, cursor: string}
 *   | {type: "user", user: User | null, settings?: Settings}
 *   | {type: "balance", balance: Balance}
 *   | {type: "projects", projects: Project[]}
 *   | {type: "draft"} & import("../compose/drafts.js").Draft
 *   | {type: "error", code: string, message: string, chat?: string | null}
 *   | {type: "ping" | "pong" | "reset"}
 * )} ControlMessage
 */

/** @typedef {Frame | ControlMessage} ServerMessage */

/**
 * `isOverHttp`: no WebSocket gets through.
 * @typedef {{kind: "idle" | "connecting" | "catching-up" | "checking" | "signed-out" | "suspended"}
 *   | {kind: "live", isOverHttp?: boolean}
 *   | {kind: "offline", since: number, nextTryAt: number}
 *   | {kind: "stopped", code: number}} ConnectionState
 */

/**
 * @typedef {object} Handlers
 * @property {(frame: Frame) => void} onFrame
 * @property {(chat: string | null, cursor: string) => void} onLive a replay has caught up; null: that of the watch
 * @property {() => void} onReset
 * @property {(message: Extract<ControlMessage, {type: "welcome"}>) => void} onWelcome
 * @property {(message: Extract<ControlMessage, {type: "user"}>) => void} onUser
 * @property {(balance: Balance) => void} onBalance
 * @property {(projects: Project[]) => void} onProjects
 * @property {(draft: import("../compose/drafts.js").Draft) => void} onDraft
 * @property {(message: Extract<ControlMessage, {type: "error"}>) => void} onProblem
 * @property {() => void} onSomebodyElse
 * @property {() => string | undefined} person the id of the page's owner
 * @property {() => string} watchFrom
 * @property {() => {chat: string, after: string | null} | null} followed
 */

/** @typedef {WebSocket | import("./poll_socket.js").PollSocket} Socket */

export class Connection {
  state = signal(/** @type {ConnectionState} */ ({ kind: "idle" }));

  #url;
  #handlers;
  #WebSocket;
  #loadPoll;
  /** @type {typeof import("./poll_socket.js") | null} */
  #http = null;
  /** @type {Socket | null} */
  #socket = null;
  #choice;
  #stopProbe = () => {};
  #attempt = 0;
  /** @type {number | null} when the connection was lost */
  #since = null;
  #heartbeatMs = HEARTBEAT_MS;
  #heardAtMs = 0;
  #changingUntilMs = 0;
  /** @type {Set<string>} replays that have not caught up: "" for the watch, else a chat id */
  #awaited = new Set();
  #acks = new Acks((bytes) => this.#send({ type: "ack", bytes }));
  #timers = new Timers();

  /**
   * @param {string} url
   * @param {Handlers} handlers
   * @param {typeof WebSocket} WebSocketClass
   * @param {(() => Promise<typeof import("./poll_socket.js")>) | null} loadPoll loads the module that replaces a
   *   WebSocket by HTTP
   */
  constructor(url, handlers, WebSocketClass = globalThis.WebSocket, loadPoll = null) {
    this.#url = url;
    this.#handlers = handlers;
    this.#WebSocket = WebSocketClass;
    this.#loadPoll = loadPoll;
    this.#choice = new TransportChoice(loadPoll !== null);
  }

  // Lifecycle

  start(page = globalThis.window) {
    if (this.state.peek().kind !== "idle") return;
    this.#connect();
    page?.addEventListener("online", () => this.#networkChanged());
    page?.addEventListener("offline", () => this.#checkAlive());
    page?.addEventListener("pageshow", (event) => event.persisted && this.retryNow());
    page?.document?.addEventListener("visibilitychange", () => {
      if (page.document.visibilityState === "visible") this.#checkAlive();
    });
  }

  stop() {
    this.#timers.clearAll();
    this.#drop(CLOSE.NORMAL);
    this.state.value = { kind: "idle" };
  }

  // Actions

  /** Follow the chat that `handlers.followed()` names now. Does nothing without a connection. */
  follow() {
    if (this.#socket?.readyState !== 1) return;
    const followed = this.#handlers.followed();
    for (const chat of this.#awaited) if (chat !== "") this.#awaited.delete(chat);
    if (followed) {
      this.#awaited.add(followed.chat);
      this.#send({ type: "follow", ...followed });
    } else {
      this.#send({ type: "unfollow" });
    }
    this.#showProgress();
  }

  /** Connect at once: the network came back, or the person asked for it. */
  retryNow() {
    const { kind } = this.state.peek();
    if (kind === "offline") this.#connect();
    else if (kind === "live" || kind === "catching-up") this.suspect();
  }

  /** The network has changed: a WebSocket may get through now. */
  #networkChanged() {
    this.retryNow();
    this.#choice.networkChanged();
    if (this.#choice.isHttp && this.#choice.isProven) this.#probeLater();
  }

  /** Another request found the server unreachable: check whether this socket is alive. */
  suspect() {
    if (this.#socket?.readyState === 1) this.#checkAlive();
  }

  // Private

  #connect() {
    this.#timers.clearAll();
    this.#drop(CLOSE.DEAD);
    const since = this.#since;
    this.state.value = since === null ? { kind: "connecting" } : { kind: "offline", since, nextTryAt: Date.now() };
    this.#choice.begin();
    if (this.#choice.isHttp) void this.#connectOverHttp();
    else this.#use(new this.#WebSocket(this.#url));
    this.#awaitAnswer();
  }

  async #connectOverHttp() {
    const attempt = this.#attempt;
    this.#http ??= (await this.#loadPoll?.().catch(() => null)) ?? null;
    if (this.#attempt !== attempt || this.#socket !== null || !this.#choice.isHttp) return;
    if (this.#http) this.#use(new this.#http.PollSocket(this.#url));
    else this.#closed(CLOSE.DEAD);
  }

  /** @param {Socket} socket */
  #use(socket) {
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (/** @type {{data: any}} */ event) => this.#heard(event.data);
    socket.onclose = (/** @type {{code: number}} */ event) => this.#closed(event.code);
  }

  /** While a replay is awaited, the server must not be silent. */
  #awaitAnswer() {
    const withinMs = this.#choice.isHttp ? POLL_ANSWER_WITHIN_MS : ANSWER_WITHIN_MS;
    this.#timers.after("answer", withinMs, () => this.#fellSilent());
  }

  #opened() {
    this.#choice.opened();
    this.#acks.begin();
    this.#heardAtMs = Date.now();
    this.#awaited = new Set([""]);
    this.#send({ type: "watch", after: this.#handlers.watchFrom() });
    if (this.#handlers.followed()) this.follow();
    this.#showProgress();
    this.#scheduleHeartbeat();
  }

  /** @param {string | ServerMessage} raw */
  #heard(raw) {
    this.#heardAtMs = Date.now();
    this.#timers.clear("pong");
    this.#choice.heard();
    if (!this.#choice.isProven) this.#awaitAnswer();
    if (this.state.peek().kind === "checking") this.#showProgress();
    /** @type {ServerMessage} */
    const message = typeof raw === "string" ? JSON.parse(raw) : raw;
    if (message.entries) this.#handlers.onFrame(message);
    else this.#control(message);
    this.#acks.take(typeof raw === "string" ? raw.length : 0);
  }

  /** @param {ControlMessage} message */
  #control(message) {
    if (this.#isSomebodyElses(message)) return this.#yield();
    switch (message.type) {
      case "welcome":
        this.#heartbeatMs = message.heartbeat_ms ?? HEARTBEAT_MS;
        this.#scheduleHeartbeat();
        this.#handlers.onWelcome(message);
        break;
      case "live":
        this.#awaited.delete(message.chat ?? "");
        this.#handlers.onLive(message.chat ?? null, message.cursor);
        this.#showProgress();
        break;
      case "user":
        this.#handlers.onUser(message);
        break;
      case "balance":
        this.#handlers.onBalance(message.balance);
        break;
      case "projects":
        this.#handlers.onProjects(message.projects);
        break;
      case "draft":
        this.#handlers.onDraft(message);
        break;
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "reset":
        // The list is loaded again instead, so its replay is not awaited.
        this.#awaited.delete("");
        this.#handlers.onReset();
        this.#showProgress();
        break;
      case "error":
        this.#problem(message);
        break;
    }
  }

  /** @param {Extract<ControlMessage, {type: "error"}>} message */
  #problem(message) {
    // This replay will not come, so it is not awaited any more.
    const chat = message.chat ?? this.#handlers.followed()?.chat;
    if (chat) this.#awaited.delete(chat);
    this.#handlers.onProblem(message);
    this.#showProgress();
  }

  /** @param {ControlMessage} message */
  #isSomebodyElses({ user }) {
    const person = this.#handlers.person();
    return Boolean(user && person && user.id !== person);
  }

  /** Somebody else has signed in in another tab: none of their data may reach this page. */
  #yield() {
    this.stop();
    this.#handlers.onSomebodyElse();
  }

  #showProgress() {
    if (this.#awaited.size > 0) {
      this.state.value = { kind: "catching-up" };
      return;
    }
    this.#attempt = 0;
    this.#since = null;
    if (!this.#choice.isProven) this.#proven();
    this.state.value = this.#choice.isHttp && this.#choice.isBlocked ? { kind: "live", isOverHttp: true } : { kind: "live" };
  }

  #proven() {
    this.#choice.proven();
    this.#timers.clear("answer");
    if (this.#choice.isHttp) this.#probeLater();
    // Earlier sockets went dead, so check soon whether this one works.
    else if (this.#choice.isDoubtful) this.#timers.after("doubt", DOUBT_MS, () => this.#ping(PONG_WITHIN_MS));
  }

  // Back from HTTP

  #probeLater() {
    this.#timers.after("probe", this.#choice.nextProbeMs(), () => {
      if (!this.#http) return;
      this.#stopProbe = this.#http.probeWebSocket(new this.#WebSocket(this.#url), {
        onGood: (socket, welcome) => this.#takeOver(socket, welcome),
        onBad: () => this.#probeFailed(),
      });
    });
  }

  #probeFailed() {
    this.#choice.isBlocked = true;
    if (this.state.peek().kind === "live") this.#showProgress();
    this.#probeLater();
  }

  /**
   * Both connections continue after the last folded entry, so no entry is lost or repeated.
   * @param {WebSocket} socket
   * @param {string} welcome
   */
  #takeOver(socket, welcome) {
    this.#timers.clearAll();
    this.#drop(CLOSE.DEAD);
    this.#choice.takeWebSocket();
    this.#use(socket);
    this.#opened();
    this.#awaitAnswer();
    this.#heard(welcome);
  }

  #scheduleHeartbeat() {
    this.#timers.after("heartbeat", this.#heartbeatMs, () => {
      if (Date.now() - this.#heardAtMs >= this.#heartbeatMs / 2) this.#ping(PONG_WITHIN_MS);
      this.#scheduleHeartbeat();
    });
  }

  #checkAlive() {
    const { kind } = this.state.peek();
    if (kind === "offline") this.#connect();
    else if (kind !== "checking" && this.#socket?.readyState === 1) {
      this.state.value = { kind: "checking" };
      this.#ping(AWAKE_PONG_WITHIN_MS);
    }
  }

  /** @param {number} withinMs */
  #ping(withinMs) {
    this.#send({ type: "ping" });
    this.#timers.after("pong", withinMs, () => this.#fellSilent());
  }

  #fellSilent() {
    const { isProven } = this.#choice;
    this.#choice.fellSilent();
    this.#lost(isProven ? atOnceMs() : backoffMs(this.#attempt));
  }

  /** @param {number} code */
  #closed(code) {
    this.#choice.closed(code < FIRST_OF_OURS);
    if (code === CLOSE.CHANGED) this.#changingUntilMs = Date.now() + CHANGING_MS;
    if (code === CLOSE.SIGN_IN && Date.now() > this.#changingUntilMs) return this.#end({ kind: "signed-out" });
    if (code === CLOSE.SUSPENDED) return this.#end({ kind: "suspended" });
    if (CLOSE.STOP.includes(code)) return this.#end({ kind: "stopped", code });
    if (code === CLOSE.LATER) return this.#lost(LATER_MS + backoffMs(this.#attempt));
    return this.#lost(CLOSE.RESTARTS.includes(code) && this.#attempt === 0 ? atOnceMs() : backoffMs(this.#attempt));
  }

  /** @param {number} afterMs */
  #lost(afterMs) {
    // Polling does not wait for replays that the WebSocket did not deliver.
    const delayMs = !this.#choice.isHttp && this.#choice.isNextHttp ? Math.min(afterMs, atOnceMs()) : afterMs;
    this.#timers.clearAll();
    this.#drop(CLOSE.DEAD);
    this.#attempt += 1;
    this.#since ??= Date.now();
    this.state.value = { kind: "offline", since: this.#since, nextTryAt: Date.now() + delayMs };
    this.#timers.after("retry", delayMs, () => this.#connect());
  }

  /** @param {ConnectionState} state */
  #end(state) {
    this.#timers.clearAll();
    this.#drop(CLOSE.NORMAL);
    this.state.value = state;
  }

  /** @param {number} code */
  #drop(code) {
    this.#acks.end();
    this.#stopProbe();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (socket.readyState < 2) socket.close(code);
  }

  /** @param {{type: string, [field: string]: any}} message */
  #send(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }
}
