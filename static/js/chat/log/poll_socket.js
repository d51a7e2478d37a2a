// Replaces a WebSocket by HTTP polling, for networks that block WebSockets (docs/protocol.md). It has
// the interface of a WebSocket. One request at a time asks for the entries after its cursors, and
// waits at the server until there are some.
import { pageLanguage } from "../lib/format.js";
export { probeWebSocket } from "./websocket_probe.js";

const ADDRESS = "/api/follow";
const WAIT_S = 20; // a proxy that cuts a silent request often does so after 30 s
const SHORTEST_WAIT_S = 2;
// A browser has six connections to a server for all of its tabs, so a hidden tab holds none.
const UNFOCUSED_WAIT_S = 4;
const HIDDEN_PAUSE_MS = 20_000;
const SLACK_S = 15;
// A proxy ended a request that lasted this long because it was silent.
const CUT_FOR_WAITING_MS = 1_500;
const LONGEST_PAUSE_S = 60;
const CLOSE = { LOST: 1006, BAD_MESSAGE: 4400, SIGN_IN: 4401, ORIGIN: 4403, CHANGED: 4409, SUSPENDED: 4410, LATER: 4429, TRY_AGAIN: 4503 };

/** @typedef {import("./socket.js").ServerMessage} ServerMessage */
/** @typedef {import("./socket.js").ControlMessage} ControlMessage */

export class PollSocket {
  readyState = 0;
  /** @type {(() => void) | null} */
  onopen = null;
  /** @type {((event: {data: ServerMessage}) => void) | null} */
  onmessage = null;
  /** @type {((event: {code: number}) => void) | null} */
  onclose = null;

  #fetch;
  #page;
  /** @type {string | null} the cursor of the list of chats */
  #watch = null;
  /** @type {string | null} the followed chat */
  #chat = null;
  /** @type {string | null} its cursor */
  #after = null;
  #state = "";
  #hasWelcomed = false;
  /** @type {Set<string>} replays that have not caught up: "" for the watch, else a chat id */
  #awaited = new Set();
  #isPinged = false;
  #waitS = WAIT_S;
  /** @type {AbortController | null} aborts the current request or pause */
  #calling = null;
  #isRunning = false;

  /**
   * @param {string} _url
   * @param {{ask?: (url: string, options: RequestInit) => Promise<Response>, page?: Document}} [options]
   */
  constructor(_url, { ask = (...request) => fetch(...request), page = globalThis.document } = {}) {
    this.#fetch = ask;
    this.#page = page;
    setTimeout(() => {
      if (this.readyState !== 0) return;
      this.readyState = 1;
      this.onopen?.();
    });
  }

  // The interface of a WebSocket

  /** @param {string} raw */
  send(raw) {
    const message = JSON.parse(raw);
    if (message.type === "watch") {
      this.#watch = message.after;
      this.#awaited.add("");
    } else if (message.type === "follow" || message.type === "unfollow") {
      for (const chat of this.#awaited) if (chat !== "") this.#awaited.delete(chat);
      this.#chat = message.chat ?? null;
      this.#after = message.after ?? null;
      if (this.#chat) this.#awaited.add(this.#chat);
    } else if (message.type === "ping") {
      this.#isPinged = true;
    } else {
      return;
    }
    this.#askAnew();
  }

  close() {
    this.readyState = 3;
    this.#calling?.abort();
  }

  // Private

  #askAnew() {
    this.#calling?.abort();
    if (this.#isRunning) return;
    this.#isRunning = true;
    // In the next task, so that a watch and a follow become one request.
    setTimeout(() => this.#run());
  }

  async #run() {
    while (this.readyState === 1) {
      const calling = (this.#calling = new AbortController());
      const pauseMs = await this.#once(calling.signal);
      if (pauseMs > 0 && !calling.signal.aborted) await pause(pauseMs, calling.signal);
    }
  }

  /**
   * Makes one request; returns the pause after it in ms.
   * @param {AbortSignal} signal
   */
  async #once(signal) {
    const waitS = this.#waitNow();
    const beganMs = Date.now();
    let response;
    let body;
    try {
      response = await this.#fetch(this.#address(waitS), {
        headers: { Accept: "application/json", "Accept-Language": pageLanguage },
        cache: "no-store",
        credentials: "same-origin",
        signal: AbortSignal.any([signal, AbortSignal.timeout((waitS + SLACK_S) * 1000)]),
      });
      body = await response.json();
    } catch {
      if (signal.aborted) return 0;
      return this.#cut(waitS, beganMs, response?.ok === false ? CLOSE.TRY_AGAIN : CLOSE.LOST);
    }
    if (signal.aborted) return 0;
    if (response.ok && Array.isArray(body.messages)) return this.#take(body);
    if (response.status >= 500) return this.#cut(waitS, beganMs, CLOSE.TRY_AGAIN);
    return this.#refused(response, body.error ?? {});
  }

  /** @param {number} waitS */
  #address(waitS) {
    const asked = new URLSearchParams({ watch: String(this.#watch), wait: String(waitS), state: this.#state });
    if (this.#chat) asked.set("chat", this.#chat);
    if (this.#chat && this.#after) asked.set("after", this.#after);
    return `${ADDRESS}?${asked}`;
  }

  #waitNow() {
    if (this.#awaited.size > 0 || this.#isPinged || this.#isHidden) return 0;
    const isFocused = this.#page?.hasFocus?.() ?? true;
    return isFocused ? this.#waitS : Math.min(this.#waitS, UNFOCUSED_WAIT_S);
  }

  get #isHidden() {
    return this.#page?.visibilityState === "hidden";
  }

  /** @param {{messages: ServerMessage[], state: string, cursor: string}} response */
  #take({ messages, state, cursor }) {
    this.#state = state;
    for (const message of messages) {
      if (this.readyState !== 1) return 0;
      this.#note(message, cursor);
    }
    this.#isPinged = false;
    this.#tell({ type: "pong" }); // any response shows that the server is alive
    return this.#isHidden && this.#awaited.size === 0 ? HIDDEN_PAUSE_MS : 0;
  }

  /**
   * @param {ServerMessage} message
   * @param {string} cursor
   */
  #note(message, cursor) {
    if (message.entries) {
      const last = message.entries[message.entries.length - 1][0];
      if (message.watch) this.#watch = last;
      else if (message.chat === this.#chat) this.#after = last;
      return this.#tell(message);
    }
    switch (message.type) {
      case "live":
        return this.#caughtUp(message);
      case "welcome":
        return this.#welcome(message);
      case "reset":
        // The list is loaded again, with everything up to here.
        this.#watch = cursor;
        this.#awaited.delete("");
        return this.#tell(message);
      case "error":
        if (message.chat) this.#awaited.delete(message.chat);
        if (message.chat === this.#chat) this.#chat = null;
        return this.#tell(message);
      default:
        return this.#tell(message);
    }
  }

  /**
   * Every response contains `live`; it is passed on only while a replay is awaited.
   * @param {Extract<ControlMessage, {type: "live"}>} message
   */
  #caughtUp(message) {
    if (message.chat === null) this.#watch = message.cursor;
    else if (message.chat === this.#chat) this.#after = message.cursor;
    if (this.#awaited.delete(message.chat ?? "")) this.#tell(message);
  }

  /**
   * Passes on the first welcome; later ones become messages about the person, the projects and the balance.
   * @param {Extract<ControlMessage, {type: "welcome"}>} message
   */
  #welcome(message) {
    if (!this.#hasWelcomed) {
      this.#hasWelcomed = true;
      return this.#tell(message);
    }
    const { user, settings, balance, projects } = message;
    this.#tell({ type: "user", user, settings });
    if (projects) this.#tell({ type: "projects", projects });
    return this.#tell({ type: "balance", balance });
  }

  /** @param {ServerMessage} message */
  #tell(message) {
    if (this.readyState === 1) this.onmessage?.({ data: message });
  }

  /**
   * No response came. If a proxy ended the request for its silence, shorter ones get through.
   * @param {number} waitS
   * @param {number} beganMs
   * @param {number} code
   */
  #cut(waitS, beganMs, code) {
    const isForWaiting = waitS > SHORTEST_WAIT_S && Date.now() - beganMs >= CUT_FOR_WAITING_MS;
    if (!isForWaiting) return this.#end(code);
    this.#waitS = Math.max(SHORTEST_WAIT_S, Math.floor(waitS / 2));
    return 0;
  }

  /**
   * @param {Response} response
   * @param {{code: string, message: string}} error
   */
  #refused({ status, headers }, { code, message }) {
    const isOurs = this.#hasWelcomed && this.#awaited.size === 0;
    if (status === 429 && isOurs) return 1000 * Math.min(LONGEST_PAUSE_S, Number(headers.get("Retry-After")) || 1);
    if (code === "suspended") this.#tell({ type: "error", code, message, chat: null });
    /** @type {Record<number, number>} */
    const closes = { 400: CLOSE.BAD_MESSAGE, 401: CLOSE.SIGN_IN, 403: code === "suspended" ? CLOSE.SUSPENDED : CLOSE.ORIGIN, 409: CLOSE.CHANGED, 429: CLOSE.LATER };
    return this.#end(closes[status] ?? CLOSE.LOST);
  }

  /** @param {number} code */
  #end(code) {
    if (this.readyState !== 1) return 0;
    this.readyState = 3;
    this.onclose?.({ code });
    return 0;
  }
}

/**
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
