// The fold: events in, transcript out. Pure, and the same as chat/transcript.py; both are driven
// by tests/vectors/fold/*.json. One more token costs the same at the end of a long answer as at
// its start: the state is changed in place and the text of one message is appended to (engines
// keep `a += b` as a rope). `foldEntry` returns what changed, so that a view need not compare.
import { isAfter } from "../lib/ids.js";
import { addStep, finishCall, startCall, withoutWritten, writeCall } from "./tool_calls.js";

/** @typedef {Record<string, any> & {type: string}} EventData an event of the log, as docs/protocol.md describes it */

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {"user" | "assistant"} role
 * @property {string | null} parent
 * @property {string} created an entry id, as `started` is
 * @property {string | null} started
 * @property {"queued" | "running" | "done" | "stopped" | "error"} status
 * @property {string | null} model
 * @property {string} text
 * @property {string} reasoning
 * @property {number} attempt
 * @property {{at: string, reason: string, means: string, length: number}[]} seams
 * @property {number} left_out messages that did not fit into the prompt
 * @property {number | null} credit_limit_tokens
 * @property {string | null} finish
 * @property {Record<string, any> | null} usage
 * @property {number | null} cost_micro_usd
 * @property {number | null} duration_ms
 * @property {number | null} reasoning_ms
 * @property {number | null} length of `text`, in bytes of UTF-8
 * @property {string | null} sha256 of `text`
 * @property {{code: string, text: string, retryable: boolean} | null} error
 * @property {string[] | null} omitted kinds of content besides text
 * @property {{at: string, code: string, delay_ms: number} | null} waiting between two attempts
 * @property {"up" | "down" | null} rating what the owner thinks of the answer
 * @property {File[] | null} files of a person's message, or pictures that the model made
 * @property {Audio | null} audio the answer read aloud
 * @property {import("./tool_calls.js").ToolCall[] | null} tools the calls of tools, in the order in which the model made them
 * @property {number} steps calls of the model that ended with calls of tools
 * @property {string | null} sound the file that the model speaks into, while it does
 * @property {{file: string, why: "modality" | "window" | "missing"}[] | null} withheld files that the model did not get
 */

/**
 * A file of a message; fields that its kind does not have are missing.
 * @typedef {object} File
 * @property {string} id
 * @property {"image" | "audio" | "document" | "text"} kind
 * @property {string} name
 * @property {number} bytes
 * @property {string} [type]
 * @property {string} [sha256]
 * @property {number} [width] of the upright picture, in pixels
 * @property {number} [height]
 * @property {number} [duration_ms] of sound
 * @property {string} [text] what is said in it, once that is written down
 * @property {number} [pages]
 * @property {number} [chars] of the text in it
 * @property {string} [alt]
 * @property {string} [thumb] a small picture, as a data URL
 * @property {boolean} [erased] whether its owner has deleted it
 * @property {string} [refused] why a picture that a model made was not kept
 */

/**
 * An answer read aloud. `spans`: [first, end, ms, ms] of each sentence, in `text` and in the sound.
 * @typedef {{file: File, voice: string, spans: [number, number, number, number][], estimated: boolean}} Audio
 */

/**
 * @typedef {object} Transcript
 * @property {string} title
 * @property {boolean} temporary a temporary chat, which nothing may store
 * @property {boolean} deleted
 * @property {string} instructions
 * @property {Record<string, Message>} messages
 * @property {Record<string, string[]>} children the ids of the messages below each, ROOT for the first
 * @property {Record<string, string>} chosen the shown child of a message, if it is not the newest
 * @property {string} cursor the id of the last entry
 */

/** @typedef {{change: string, message: string | null}} Changed */

export const ROOT = "";

// "chat.pinned", "chat.archived", "chat.moved" and "chat.read" concern the list of chats alone (chat_list.js).
/**
 * The fields that an event must have. An event without one comes from a newer version and is skipped.
 * @type {Record<string, string[]>}
 */
const REQUIRED = {
  "chat.created": ["chat", "title", "model"],
  "chat.kept": ["chat", "title"],
  "chat.renamed": ["chat", "title", "by"],
  "chat.instructed": ["chat", "instructions"],
  "chat.deleted": ["chat"],
  "chat.restored": ["chat"],
  "message.created": ["message", "role"],
  "message.started": ["message", "attempt", "model"],
  "message.delta": ["message", "text"],
  "message.reasoning": ["message", "text"],
  "message.image": ["message", "file"],
  "message.resumed": ["message", "attempt", "reason", "means", "length"],
  "message.waiting": ["message", "attempt", "code", "delay_ms"],
  "message.stepped": ["message", "attempt", "step"],
  "message.completed": ["message", "finish", "model", "length", "sha256", "duration_ms"],
  "message.error": ["message", "code", "text", "retryable", "length", "sha256"],
  "message.rated": ["message", "rating"],
  "message.audio": ["message", "file", "voice", "spans"],
  "tool.input": ["message", "attempt", "index", "text"],
  "tool.call": ["message", "attempt", "step", "length", "reasoning_length", "calls"],
  "tool.started": ["message", "call"],
  "tool.result": ["message", "call", "status", "duration_ms"],
  "branch.chosen": ["message"],
  "file.erased": ["file"],
  "file.transcribed": ["file", "text"],
};

/** What an entry changed: the whole chat, its shape, a status, or text. */
export const Change = Object.freeze({ CHAT: "chat", SHAPE: "shape", STATUS: "status", TEXT: "text" });

// Ids come from outside: a null prototype keeps "__proto__" an ordinary key.
const table = () => Object.create(null);

/** @returns {Transcript} */
export function emptyTranscript() {
  return { title: "", temporary: false, deleted: false, instructions: "", messages: table(), children: table(), chosen: table(), cursor: "0-0" };
}

/**
 * Fold one entry into `state`. An entry at or before the cursor, of an unknown type, or about a
 * message that is not there changes nothing and returns null; else {change, message}.
 * @param {Transcript} state
 * @param {string} id
 * @param {EventData} data
 * @returns {Changed | null}
 */
export function foldEntry(state, id, data) {
  if (!isAfter(id, state.cursor)) return null;
  state.cursor = id;
  const required = Object.hasOwn(REQUIRED, data.type) ? REQUIRED[data.type] : null;
  if (!required || !required.every((name) => name in data)) return null;
  switch (data.type) {
    case "chat.created":
    case "chat.kept":
      state.title = data.title;
      state.temporary = data.type === "chat.created" && data.temporary === true;
      return { change: Change.CHAT, message: null };
    case "chat.renamed":
      state.title = data.title;
      return { change: Change.CHAT, message: null };
    case "chat.instructed":
      state.instructions = data.instructions;
      return { change: Change.CHAT, message: null };
    case "chat.deleted":
      state.deleted = true;
      return { change: Change.CHAT, message: null };
    case "chat.restored":
      state.deleted = false;
      return { change: Change.CHAT, message: null };
    case "message.created":
      return create(state, data, id);
    case "file.erased":
      return changeFile(state, data.file, erased);
    case "file.transcribed":
      return changeFile(state, data.file, (file) => (file.erased ? file : { ...file, text: data.text }));
    default: {
      const message = state.messages[data.message];
      return message ? changeMessage(state, message, data, id) : null;
    }
  }
}

/**
 * Change a file in all messages that have it.
 * @param {Transcript} state
 * @param {string} id
 * @param {(file: File) => File} change
 * @returns {Changed | null}
 */
function changeFile(state, id, change) {
  let changed = null;
  for (const message of Object.values(state.messages)) {
    if (change === erased && message.audio?.file.id === id) {
      message.audio = null;
      changed = { change: Change.STATUS, message: message.id };
    }
    if (!message.files?.some((file) => file.id === id)) continue;
    message.files = message.files.map((file) => (file.id === id ? change(file) : file));
    changed = { change: Change.STATUS, message: message.id };
  }
  return changed;
}

/**
 * Messages keep what a deleted file was, without its thumb and its transcript.
 * @param {File} file
 * @returns {File}
 */
function erased({ thumb: _, text: __, ...kept }) {
  return { ...kept, erased: true };
}

/**
 * The sound with its transcript, if an earlier message of the chat has both.
 * @param {Transcript} state
 * @param {File} file
 */
function captioned(state, file) {
  if (file.kind !== "audio") return file;
  const known = Object.values(state.messages).flatMap(({ files }) => files ?? []);
  return known.find(({ id, text }) => id === file.id && text !== undefined) ?? file;
}

/**
 * @param {Transcript} state
 * @param {EventData} data
 * @param {string} id
 * @returns {Changed | null}
 */
function create(state, data, id) {
  const parent = data.parent ?? null;
  if (data.message in state.messages) return null;
  if (parent !== null && !(parent in state.messages)) return null;
  state.messages[data.message] = {
    id: data.message,
    role: data.role,
    parent,
    created: id,
    started: null,
    status: data.role === "user" ? "done" : "queued",
    model: data.model ?? null,
    text: data.text ?? "",
    reasoning: "",
    attempt: 0,
    seams: [],
    left_out: 0,
    credit_limit_tokens: null,
    finish: null,
    usage: null,
    cost_micro_usd: null,
    duration_ms: null,
    reasoning_ms: null,
    length: null,
    sha256: null,
    error: null,
    omitted: null,
    waiting: null,
    rating: null,
    audio: null,
    sound: null,
    files: listOf(data.files)?.map((file) => captioned(state, file)) ?? null,
    withheld: null,
    tools: null,
    steps: 0,
  };
  const key = parent ?? ROOT;
  (state.children[key] ??= []).push(data.message);
  // The newest message is shown, so an earlier choice at this fork no longer counts.
  delete state.chosen[key];
  return { change: Change.SHAPE, message: data.message };
}

/**
 * @param {Transcript} state
 * @param {Message} message
 * @param {EventData} data
 * @param {string} id
 * @returns {Changed}
 */
function changeMessage(state, message, data, id) {
  switch (data.type) {
    case "message.delta":
      message.text += data.text;
      return { change: Change.TEXT, message: message.id };
    case "message.reasoning":
      if (data.text_length != null) message.text = firstBytes(message.text, data.text_length);
      message.reasoning += data.text;
      return { change: Change.TEXT, message: message.id };
    case "message.image":
      if (!message.files?.some(({ id: known }) => known === data.file.id)) message.files = [...(message.files ?? []), data.file];
      break;
    case "message.started":
      begin(message, data);
      message.started ??= id;
      break;
    case "message.resumed":
      begin(message, data);
      // After a step nothing was interrupted, so there is no seam to show.
      if (data.reason !== "step") message.seams.push({ at: id, reason: data.reason, means: data.means, length: data.length });
      break;
    case "message.waiting":
      message.waiting = { at: id, code: data.code, delay_ms: data.delay_ms };
      break;
    case "message.completed":
      complete(message, data);
      break;
    case "message.error":
      fail(message, data);
      break;
    case "message.rated":
      message.rating = data.rating === "none" ? null : data.rating;
      break;
    case "message.audio":
      speak(message, data);
      break;
    case "message.stepped":
      message.steps = data.step;
      break;
    case "tool.input":
      message.tools = writeCall(message.tools, data);
      break;
    case "tool.call":
      message.tools = addStep(message.tools, data);
      break;
    case "tool.started":
      message.tools = startCall(message.tools, data, id);
      break;
    case "tool.result":
      message.tools = finishCall(message.tools, data);
      break;
    case "branch.chosen":
      state.chosen[message.parent ?? ROOT] = message.id;
      return { change: Change.SHAPE, message: message.id };
  }
  return { change: Change.STATUS, message: message.id };
}

/**
 * @param {Message} message
 * @param {EventData} data
 */
function begin(message, data) {
  message.status = "running";
  message.attempt = data.attempt;
  message.model = data.model || message.model;
  message.left_out = data.left_out ?? 0;
  message.credit_limit_tokens = data.credit_limit_tokens ?? null;
  message.error = null;
  message.waiting = null;
  message.withheld = listOf(data.withheld);
  // It is not the speech of the text that follows.
  message.audio = null;
  message.tools = withoutWritten(message.tools);
  message.sound = data.sound ?? null;
}

/**
 * @param {Message} message
 * @param {EventData} data
 */
function speak(message, { file, voice, spans, estimated = false }) {
  if (!isAnswering(message)) message.audio = { file, voice, spans, estimated };
}

/**
 * A list with content, or null.
 * @param {any[] | null | undefined} list
 */
const listOf = (list) => (list?.length ? list : null);

/**
 * @param {Message} message
 * @param {EventData} data
 */
function complete(message, data) {
  replaceText(message, data.text, data.reasoning);
  message.status = data.finish === "stopped" ? "stopped" : "done";
  message.finish = data.finish;
  message.model = data.model;
  message.usage = data.usage ?? null;
  message.cost_micro_usd = data.cost_micro_usd ?? null;
  message.duration_ms = data.duration_ms;
  message.reasoning_ms = data.reasoning_ms ?? null;
  message.length = data.length;
  message.sha256 = data.sha256;
  message.error = null;
  message.omitted = data.omitted ?? null;
  message.waiting = message.sound = null;
  message.tools = withoutWritten(message.tools);
}

/**
 * @param {Message} message
 * @param {EventData} data
 */
function fail(message, data) {
  replaceText(message, data.text_kept, data.reasoning);
  message.status = "error";
  message.usage = data.usage ?? null;
  message.cost_micro_usd = data.cost_micro_usd ?? null;
  message.length = data.length;
  message.sha256 = data.sha256;
  message.error = { code: data.code, text: data.text, retryable: data.retryable };
  message.waiting = message.sound = null;
  message.tools = withoutWritten(message.tools);
}

/**
 * The first `length` bytes of `text`, in UTF-8.
 * @param {string} text
 * @param {number} length
 */
function firstBytes(text, length) {
  const bytes = new TextEncoder().encode(text).subarray(0, length);
  // As in Python, the rest of a character that was cut is dropped.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: true });
}

/**
 * In the chat's own index the end of an answer has the whole text, which replaces the deltas.
 * @param {Message} message
 * @param {string | null | undefined} text
 * @param {string | null | undefined} reasoning
 */
function replaceText(message, text, reasoning) {
  if (text === undefined || text === null) return;
  message.text = text;
  message.reasoning = reasoning ?? "";
}

/**
 * The message shown among the children of `parent` (ROOT for the first), or null.
 * @param {Transcript} state
 * @param {string} parent
 * @returns {Message | null}
 */
export function shownChild(state, parent) {
  const siblings = state.children[parent];
  return siblings ? state.messages[state.chosen[parent] ?? siblings[siblings.length - 1]] : null;
}

/**
 * The messages shown, first to last: at each fork the chosen child, else the newest.
 * @param {Transcript} state
 */
export function shownPath(state) {
  const path = [];
  for (let next = shownChild(state, ROOT); next; next = shownChild(state, next.id)) path.push(next);
  return path;
}

/**
 * The ids of all answers or edits at the place of `message`, oldest first, itself included.
 * @param {Transcript} state
 * @param {Message} message
 */
export function siblingsOf(state, message) {
  return state.children[message.parent ?? ROOT] ?? [];
}

/** @param {Message} message */
export const isAnswering = (message) => message.status === "queued" || message.status === "running";

/**
 * The state as the shared test vectors write it.
 * @param {Transcript} transcript
 */
export function transcriptToJson({ title, temporary, deleted, instructions, messages, children, chosen }) {
  return { title, temporary, deleted, instructions, messages, children, chosen };
}
