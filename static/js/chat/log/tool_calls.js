// The calls of tools in a message. Pure, and the same as chat/tools/called.py, which describes the fields.

/** @typedef {import("./fold.js").EventData} EventData */

/**
 * @typedef {object} ToolCall
 * @property {string | null} id null while the model writes its arguments, as `step` and `length` are
 * @property {number} attempt
 * @property {number | null} step
 * @property {number} index among the calls of its step
 * @property {string | null} server
 * @property {string | null} tool
 * @property {string | null} title
 * @property {string} input its arguments as the model writes them; later only if they are no JSON object
 * @property {Record<string, any> | null} arguments
 * @property {number | null} length bytes of the message's text before it
 * @property {"writing" | "called" | "running" | "ok" | "error" | "denied" | "stopped" | "timeout" | "unknown"} state
 * @property {string | null} started an entry id
 * @property {Record<string, any> | null} result
 */

/** @typedef {ToolCall[] | null} ToolCalls */

const RESULT = ["status", "duration_ms", "content", "structured", "code", "sentence", "cut"];

/**
 * The calls without those that were still written when their attempt ended.
 * @param {ToolCalls} calls
 */
export function withoutWritten(calls) {
  const kept = calls?.filter(({ state }) => state !== "writing");
  return kept?.length ? kept : null;
}

/**
 * @param {ToolCalls} calls
 * @param {EventData} data
 */
export function writeCall(calls, data) {
  const known = calls ?? [];
  const at = known.findIndex(({ state, index }) => state === "writing" && index === data.index);
  if (at < 0) return [...known, { ...newCall(data, data), input: data.text }];
  return known.with(at, { ...known[at], input: known[at].input + data.text });
}

/**
 * @param {ToolCalls} calls
 * @param {EventData} data
 */
export function addStep(calls, { calls: made, ...step }) {
  const kept = withoutWritten(calls) ?? [];
  for (const call of made) {
    if (kept.some(({ id }) => id === call.id)) continue;
    const whole = { input: call.input ?? "", arguments: call.arguments ?? null, state: /** @type {const} */ ("called") };
    kept.push({ ...newCall(call, step), id: call.id, step: step.step, index: call.index, length: step.length, ...whole });
  }
  return kept;
}

/**
 * @param {ToolCalls} calls
 * @param {EventData} data
 * @param {string} entryId
 */
export function startCall(calls, data, entryId) {
  return changed(calls, data.call, { state: "running", started: entryId });
}

/**
 * The first result of a call counts.
 * @param {ToolCalls} calls
 * @param {EventData} data
 */
export function finishCall(calls, data) {
  const result = Object.fromEntries(RESULT.map((name) => [name, data[name] ?? null]));
  return changed(calls, data.call, { state: data.status, result });
}

/**
 * @param {Record<string, any>} names
 * @param {Record<string, any>} place
 * @returns {ToolCall}
 */
function newCall({ server = null, tool = null, title = null }, { attempt, index }) {
  return { id: null, attempt, step: null, index, server, tool, title, input: "", arguments: null, length: null, state: "writing", started: null, result: null };
}

/**
 * The calls with other fields of one that has no result yet.
 * @param {ToolCalls} calls
 * @param {string} id
 * @param {Partial<ToolCall>} fields
 */
function changed(calls, id, fields) {
  const waits = (/** @type {ToolCall} */ call) => call.state === "called" || call.state === "running";
  return calls?.map((call) => (call.id === id && waits(call) ? { ...call, ...fields } : call)) ?? null;
}
