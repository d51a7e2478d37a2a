// Commands are sent over HTTP. Each contains the id of what it creates, so it can safely be repeated after a
// lost response. `repeatUntilAnswered` does so, and only a refusal from the server ends in an error.
import { backoffMs } from "./lib/backoff.js";
import { pageLanguage } from "./lib/format.js";
import { text } from "./text.js";

/** @typedef {{keepalive?: boolean, signal?: AbortSignal | null, isFile?: boolean}} CallOptions */

const TIMEOUT_MS = 20_000;
const RETRYABLE_STATUSES = new Set([408, 425, 429, 500, 502, 503, 504]);

// Our own limit, which comes with a message for the person. A 429 without this code comes from a proxy.
const LIMIT_CODE = "too_many_requests";
// The credit is held for an answer that is being written; it is free again when that answer ends.
export const CREDIT_HELD = "credit_held";
// The storage is full until something is erased or the operator makes room.
export const STORAGE_BUSY = "storage_busy";
// The chat has reached its size limit.
export const CHAT_FULL = "chat_full";
export const PROJECT_GONE = "project_not_found";
// After these refusals the send queue sends the message again by itself.
export const PASSING = new Set([CREDIT_HELD, STORAGE_BUSY]);

/** `isRetryable`: no response came, or one that asks to try again later. Otherwise the server refused. */
export class ApiError extends Error {
  /** @param {{status?: number, code?: string, message?: string, retryAfterMs?: number, fields?: Record<string, string[]>}} refusal */
  constructor({ status = 0, code = "unreachable", message = text.unreachable, retryAfterMs = 0, fields = {} }) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
    this.fields = fields;
  }

  get isRetryable() {
    if (this.code === LIMIT_CODE || this.code === STORAGE_BUSY) return false;
    return this.status === 0 || RETRYABLE_STATUSES.has(this.status);
  }
}

// Over HTTPS the cookie has the prefix `__Host-`, which other subdomains cannot set. A cookie without it
// is a leftover from plain HTTP.
const TOKEN = /(?:^|; )__Host-csrftoken=([^;]+)/;
const TOKEN_WITHOUT_HTTPS = /(?:^|; )csrftoken=([^;]+)/;

export const csrfToken = () => (document.cookie.match(TOKEN) ?? document.cookie.match(TOKEN_WITHOUT_HTTPS))?.[1] ?? "";

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {CallOptions} [options]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, { keepalive = false, signal = null, isFile = false } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "Accept-Language": pageLanguage };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  const isForm = body instanceof FormData;
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      keepalive,
      body: body === undefined || isForm ? body : json(body),
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) : AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new ApiError({});
  }
  if (!response.ok) throw await refusal(response);
  if (response.status === 204) return null;
  return contentOf(response, isFile);
}

/**
 * @param {Response} response
 * @param {boolean} isFile
 */
async function contentOf(response, isFile) {
  try {
    return await (isFile ? response.blob() : response.json());
  } catch {
    // The response was cut off. The command may have been carried out, so it is repeated.
    throw new ApiError({});
  }
}

/**
 * As JSON. A text may end in half of a character, which the server would refuse.
 * @param {unknown} body
 */
const json = (body) => JSON.stringify(body, (_, value) => value?.toWellFormed?.() ?? value);

/** @param {Response} response */
async function refusal(response) {
  const retryAfterMs = 1000 * (Number(response.headers.get("Retry-After")) || 0);
  const body = await response.json().catch(() => ({}));
  const fallback = response.status >= 500 ? text.serverTrouble : text.refused(response.status);
  return new ApiError({
    status: response.status,
    code: body.error?.code ?? `http_${response.status}`,
    message: body.error?.message ?? fallback,
    fields: body.error?.fields,
    retryAfterMs,
  });
}

/**
 * Call `order` until the server has answered. `onWait(error, delayMs)` is called before each wait, which
 * ends early when `wake` fires "wake". `tries` limits the number of calls (default: no limit).
 * @template T
 * @param {() => Promise<T>} order
 * @param {{onWait?: (error: ApiError, delayMs: number) => void, wake?: EventTarget | null, tries?: number}} [options]
 */
export async function repeatUntilAnswered(order, { onWait = () => {}, wake = null, tries = Infinity } = {}) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await order();
    } catch (error) {
      if (!(error instanceof ApiError) || !error.isRetryable || attempt + 1 >= tries) throw error;
      const delayMs = Math.max(error.retryAfterMs, backoffMs(attempt));
      onWait(error, delayMs);
      await sleep(delayMs, wake);
    }
  }
}

/**
 * @param {number} ms
 * @param {EventTarget | null} wake
 */
function sleep(ms, wake) {
  return /** @type {Promise<void>} */ (new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      wake?.removeEventListener("wake", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    wake?.addEventListener("wake", done);
  }));
}

/** @param {Record<string, any>} fields */
function queryString(fields) {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** @param {string} chat */
const chatPath = (chat) => `/api/chats/${chat}`;
/**
 * @param {string} chat
 * @param {string} reply
 */
const replyPath = (chat, reply) => `${chatPath(chat)}/replies/${reply}`;

// Commands are small, and are sent even if the page is closed at once. A message may exceed the browser's
// limit for such requests (64 KB); the send queue keeps it beyond the page.
const OUTLIVES_PAGE = { keepalive: true };

export const api = {
  /** @param {string} chat @param {"md" | "json"} form @returns {Promise<Blob>} */
  exportChat: (chat, form) => call("GET", `${chatPath(chat)}/export${queryString({ format: form })}`, undefined, { isFile: true }),
  /** @param {string} chat @param {object} body */
  send: (chat, body) => call("POST", `${chatPath(chat)}/messages`, body),
  /** @param {string} chat @param {object} body */
  regenerate: (chat, body) => call("POST", `${chatPath(chat)}/replies`, body),
  /** @param {string} chat @param {string} reply */
  stop: (chat, reply) => call("POST", `${replyPath(chat, reply)}/stop`, {}, OUTLIVES_PAGE),
  /** @param {string} chat @param {string} reply */
  goOn: (chat, reply) => call("POST", `${replyPath(chat, reply)}/attempts`, {}, OUTLIVES_PAGE),
  // `change` is the id of a change, so that the server recognises it when it is repeated after a lost response.
  /** @param {string} chat @param {string} message @param {string} change */
  choose: (chat, message, change) => call("POST", `${chatPath(chat)}/branch?change=${change}`, { message }, OUTLIVES_PAGE),
  /** @param {string} chat @param {string} reply @param {"up" | "down" | null} rating @param {string} change */
  rate: (chat, reply, rating, change) =>
    call(rating ? "PUT" : "DELETE", `${replyPath(chat, reply)}/rating?change=${change}`, rating ? { rating } : undefined, OUTLIVES_PAGE),
  /** @param {string} chat @param {string} title @param {string} change */
  rename: (chat, title, change) => call("PATCH", `${chatPath(chat)}?change=${change}`, { title }, OUTLIVES_PAGE),
  /** @param {string} chat @param {string} change */
  remove: (chat, change) => call("DELETE", `${chatPath(chat)}?change=${change}`, undefined, OUTLIVES_PAGE),
  /** @param {string} chat @param {string} change */
  restore: (chat, change) => call("POST", `${chatPath(chat)}/restore?change=${change}`, {}, OUTLIVES_PAGE),
  /** @param {string} chat @param {boolean} isPinned @param {string} change */
  pin: (chat, isPinned, change) => call(isPinned ? "PUT" : "DELETE", `${chatPath(chat)}/pin?change=${change}`, undefined, OUTLIVES_PAGE),
  /** @param {string} chat @param {boolean} isArchived @param {string} change */
  archive: (chat, isArchived, change) => call(isArchived ? "PUT" : "DELETE", `${chatPath(chat)}/archive?change=${change}`, undefined, OUTLIVES_PAGE),
  /** @param {string} chat @param {string | null} project @param {string} change */
  move: (chat, project, change) => call(project ? "PUT" : "DELETE", `${chatPath(chat)}/project?change=${change}`, project ? { project } : undefined, OUTLIVES_PAGE),
  /** @param {string} chat */
  keep: (chat) => call("POST", `${chatPath(chat)}/keep`, {}, OUTLIVES_PAGE),
  /** @param {string} chat */
  leave: (chat) => call("POST", `${chatPath(chat)}/leave`, {}, OUTLIVES_PAGE),
  /** @param {string} chat @param {number} untilMs */
  read: (chat, untilMs) => call("POST", `${chatPath(chat)}/read`, { until_ms: untilMs }, OUTLIVES_PAGE),
  /** @param {string} chat */
  chat: (chat) => call("GET", chatPath(chat)),
  /** @param {Record<string, any>} [query] */
  chats: (query = {}) => call("GET", `/api/chats${queryString(query)}`),
  /** @param {string} query @param {AbortSignal} signal */
  search: (query, signal) => call("GET", `/api/search${queryString({ q: query })}`, undefined, { signal }),
  /** @param {string} chat @param {string} instructions */
  instruct: (chat, instructions) => call("PATCH", chatPath(chat), { instructions }),
  // `person` is the owner of the settings on this page; somebody else may have signed in since.
  /** @param {string} person @param {object} fields @param {CallOptions} [options] */
  saveSettings: (person, fields, options) => call("PATCH", `/api/settings${queryString({ person })}`, fields, options),
  /** @param {string} person @param {FormData} form */
  savePicture: (person, form) => call("POST", `/api/settings/picture${queryString({ person })}`, form),
  /** @param {string} person */
  removePicture: (person) => call("DELETE", `/api/settings/picture${queryString({ person })}`),
  /** @param {string | null} chat */
  draft: (chat) => call("GET", `/api/drafts?chat=${chat ?? "new"}`),
  /** @param {object} body @param {CallOptions} [options] */
  saveDraft: (body, options) => call("PUT", "/api/drafts", body, options),
  /** @param {string} person @param {object} subscription as a browser writes it in JSON */
  subscribe: (person, subscription) => call("POST", `/api/push${queryString({ person })}`, subscription),
  /** @param {string} person */
  prompts: (person) => call("GET", `/api/prompts${queryString({ person })}`),
  /** @param {string} project */
  project: (project) => call("GET", `/api/projects/${project}`),
  /** @param {object} body */
  addProject: (body) => call("POST", "/api/projects", body),
  /** @param {string} project @param {object} fields */
  changeProject: (project, fields) => call("PATCH", `/api/projects/${project}`, fields),
  /** @param {string} project @param {boolean} withChats */
  removeProject: (project, withChats) => call("DELETE", `/api/projects/${project}?chats=${withChats ? "delete" : "keep"}`),
  models: () => call("GET", "/api/models"),
  /** @param {string} chat @param {string} [after] */
  events: (chat, after) => call("GET", `${chatPath(chat)}/events${after ? `?after=${after}` : ""}`),
};

/**
 * The entries of a chat from its beginning, page by page.
 * @param {string} chat
 */
export async function readWhole(chat) {
  /** @type {[id: string, data: import("./log/fold.js").EventData][]} */
  const entries = [];
  for (let more = true; more; ) {
    const page = await api.events(chat, entries.at(-1)?.[0]);
    entries.push(...page.entries);
    more = page.more && page.entries.length > 0;
  }
  return entries;
}
