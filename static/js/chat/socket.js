// One WebSocket per tab. It watches the person's stream (the sidebar) and follows the open chat;
// both resume from the last entry seen, so reconnecting is reading. The state it shows is what it
// knows: it says "live" only after the server has said that replay has caught up.
import { atOnceMs, backoffMs } from "./backoff.js";
import { signal } from "../signals.js";

const CONNECT_TIMEOUT_MS = 10_000;
const HEARTBEAT_MS = 25_000; // until the server's welcome names its own
const PONG_WITHIN_MS = 8_000;
const AWAKE_PONG_WITHIN_MS = 3_000; // after sleep or a network change a dead socket is likely
const ACK_EVERY_CHARS = 32_768;
const ACK_WITHIN_MS = 1_000;
const LATER_MS = 20_000;

const CLOSE = { NORMAL: 1000, RESTARTS: [1000, 1001, 1005, 1006, 1012, 4408, 4503], SIGN_IN: 4401, STOP: [4400, 4403], SUSPENDED: 4410, LATER: 4429, DEAD: 4000 };

/**
 * @param handlers onFrame({chat, entries, watch}), onLive(chat, cursor), onReset(), onWelcome(message), onUser(message), onDraft(draft),
 *   onProblem(message), watchFrom() -> cursor, followed() -> {chat, after} | null
 */
export class Connection {
  /** {kind: "idle" | "connecting" | "catching-up" | "live" | "checking" | "offline" | "signed-out" | "suspended" | "stopped"} */
  state = signal({ kind: "idle" });

  #url;
  #handlers;
  #WebSocket;
  #socket = null;
  #attempt = 0;
  #since = null; // when it was last known to be connected
  #heartbeatMs = HEARTBEAT_MS;
  #heardAtMs = 0;
  #awaited = new Set(); // replays not yet caught up: "" for the watch, else a chat id
  #received = 0;
  #acked = 0;
  #timers = new Map();

  constructor(url, handlers, WebSocketClass = globalThis.WebSocket) {
    this.#url = url;
    this.#handlers = handlers;
    this.#WebSocket = WebSocketClass;
  }

  // Lifecycle

  start(page = globalThis.window) {
    if (this.state.peek().kind !== "idle") return;
    this.#connect();
    page?.addEventListener("online", () => this.retryNow());
    page?.addEventListener("offline", () => this.#checkAlive());
    page?.addEventListener("pageshow", (event) => event.persisted && this.retryNow());
    page?.document?.addEventListener("visibilitychange", () => {
      if (page.document.visibilityState === "visible") this.#checkAlive();
    });
  }

  stop() {
    this.#clearTimers();
    this.#drop(CLOSE.NORMAL);
    this.state.value = { kind: "idle" };
  }

  // Actions

  /** Follow what `handlers.followed()` names now; harmless when not connected. */
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

  /** Try at once: the network came back, or the person asked. */
  retryNow() {
    const { kind } = this.state.peek();
    if (kind === "offline") this.#connect();
    else if (kind === "live" || kind === "catching-up") this.suspect();
  }

  /** Something else found the server unreachable: see whether this socket is alive. */
  suspect() {
    if (this.#socket?.readyState === 1) this.#checkAlive();
  }

  // Private

  #connect() {
    this.#clearTimers();
    this.#drop(CLOSE.DEAD);
    const isFirst = this.#since === null;
    this.state.value = isFirst ? { kind: "connecting" } : { kind: "offline", since: this.#since, nextTryAt: Date.now() };
    const socket = new this.#WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => this.#opened();
    socket.onmessage = (event) => this.#heard(event.data);
    socket.onclose = (event) => this.#closed(event.code);
    this.#after("connect", CONNECT_TIMEOUT_MS, () => this.#lost(backoffMs(this.#attempt)));
  }

  #opened() {
    this.#clearTimer("connect");
    this.#received = this.#acked = 0;
    this.#heardAtMs = Date.now();
    this.#awaited = new Set([""]);
    this.#send({ type: "watch", after: this.#handlers.watchFrom() });
    if (this.#handlers.followed()) this.follow();
    this.#showProgress();
    this.#scheduleHeartbeat();
  }

  #heard(raw) {
    this.#heardAtMs = Date.now();
    this.#clearTimer("pong");
    if (this.state.peek().kind === "checking") this.#showProgress();
    const message = JSON.parse(raw);
    if (message.entries) this.#handlers.onFrame(message);
    else this.#control(message);
    this.#received += raw.length;
    this.#acknowledge();
  }

  #control(message) {
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
      case "draft":
        this.#handlers.onDraft(message);
        break;
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "reset":
        this.#handlers.onReset();
        break;
      case "error":
        // What was asked for will not come: nothing is awaited for it any more.
        this.#awaited.delete(message.chat ?? this.#handlers.followed()?.chat);
        this.#handlers.onProblem(message);
        this.#showProgress();
        break;
    }
  }

  #showProgress() {
    if (this.#awaited.size > 0) {
      this.state.value = { kind: "catching-up" };
      return;
    }
    this.#attempt = 0;
    this.state.value = { kind: "live" };
    this.#since = null;
  }

  /** The server counts what a reader has taken in, and drops one that lags far behind. */
  #acknowledge() {
    if (this.#received - this.#acked >= ACK_EVERY_CHARS) this.#sendAck();
    else if (!this.#timers.has("ack")) this.#after("ack", ACK_WITHIN_MS, () => this.#sendAck());
  }

  #sendAck() {
    this.#clearTimer("ack");
    if (this.#acked === this.#received) return;
    this.#acked = this.#received;
    this.#send({ type: "ack", bytes: this.#received });
  }

  #scheduleHeartbeat() {
    this.#after("heartbeat", this.#heartbeatMs, () => {
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

  #ping(withinMs) {
    this.#send({ type: "ping" });
    this.#after("pong", withinMs, () => this.#lost(atOnceMs()));
  }

  #closed(code) {
    if (code === CLOSE.SIGN_IN) return this.#end({ kind: "signed-out" });
    if (code === CLOSE.SUSPENDED) return this.#end({ kind: "suspended" });
    if (CLOSE.STOP.includes(code)) return this.#end({ kind: "stopped", code });
    if (code === CLOSE.LATER) return this.#lost(LATER_MS + backoffMs(this.#attempt));
    return this.#lost(CLOSE.RESTARTS.includes(code) && this.#attempt === 0 ? atOnceMs() : backoffMs(this.#attempt));
  }

  #lost(delayMs) {
    this.#clearTimers();
    this.#drop(CLOSE.DEAD);
    this.#attempt += 1;
    this.#since ??= Date.now();
    this.state.value = { kind: "offline", since: this.#since, nextTryAt: Date.now() + delayMs };
    this.#after("retry", delayMs, () => this.#connect());
  }

  #end(state) {
    this.#clearTimers();
    this.#drop(CLOSE.NORMAL);
    this.state.value = state;
  }

  #drop(code) {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    if (socket.readyState < 2) socket.close(code);
  }

  #send(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #after(name, ms, action) {
    this.#clearTimer(name);
    this.#timers.set(name, setTimeout(() => {
      this.#timers.delete(name);
      action();
    }, ms));
  }

  #clearTimer(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  #clearTimers() {
    for (const name of [...this.#timers.keys()]) this.#clearTimer(name);
  }
}
