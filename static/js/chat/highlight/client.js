// Sends code to the highlighting worker, which returns runs of [class, text]. Grammars are regular
// expressions, and some texts keep one busy for minutes. A worker that takes too long is terminated:
// that code stays plain, and a new worker highlights the rest. Code in an unknown language also stays plain,
// as does all code if there is no worker.
import { knownLanguage } from "./languages.js";
import { TimeLimit } from "./time_limit.js";

const LONGEST_CODE_CHARS = 300_000;
// Several times the time that usual code takes on a slow machine.
const LIMIT_MS = 3_000;
const LIMIT_MS_PER_CHAR = 0.01;
const FETCHING_LIMIT_MS = 30_000;
const REMEMBERED = 20;

let worker = null; // a promise of a Worker
let current = null; // the request that the worker is processing: {id, code, language, done, limit}
let nextId = 1;
const waiting = []; // requests
const slow = []; // {language, code} that took too long, oldest first

/** The runs of `code`, or null if it stays plain. */
export function highlighted(code, language) {
  const name = knownLanguage(language);
  if (!name || code.length > LONGEST_CODE_CHARS || isSlow(code, name)) return Promise.resolve(null);
  return new Promise((done) => {
    waiting.push({ id: nextId++, code, language: name, done, limit: null });
    void serveNext();
  });
}

/** Code only grows, so code that begins with slow code is slow, too. */
const isSlow = (code, language) => slow.some((one) => one.language === language && code.startsWith(one.code));

async function serveNext() {
  if (current || waiting.length === 0) return;
  const request = (current = takeNext());
  const running = isSlow(request.code, request.language) ? null : await (worker ??= start());
  if (current !== request) return;
  if (!running) {
    finish(request, null);
    return;
  }
  const { id, code, language } = request;
  request.limit = new TimeLimit(FETCHING_LIMIT_MS, replaceWorker);
  running.postMessage({ id, code, language });
}

/** Languages that had slow code are highlighted last. */
function takeNext() {
  const index = waiting.findIndex((one) => !slow.some(({ language }) => language === one.language));
  return waiting.splice(Math.max(0, index), 1)[0];
}

function finish(request, runs) {
  request.limit?.stop();
  current = null;
  request.done(runs);
  void serveNext();
}

function heard({ id, hasBegun, runs }) {
  if (current?.id !== id) return;
  if (!hasBegun) {
    finish(current, runs);
    return;
  }
  const { code, language } = current;
  current.limit.stop();
  current.limit = new TimeLimit(LIMIT_MS + LIMIT_MS_PER_CHAR * code.length, () => {
    slow.push({ language, code });
    if (slow.length > REMEMBERED) slow.shift();
    replaceWorker();
  });
}

async function start() {
  try {
    const { address } = await import("./worker.js");
    const started = new Worker(address, { type: "module" });
    started.addEventListener("message", ({ data }) => heard(data));
    started.addEventListener("error", giveUp);
    return started;
  } catch {
    return null;
  }
}

/** Terminate the worker and its request; the next code gets a new worker. */
function replaceWorker() {
  endWorker();
  finish(current, null);
}

/** The worker failed, for example because its files did not load: waiting code stays plain. */
function giveUp() {
  endWorker();
  for (const { done } of waiting.splice(0)) done(null);
  if (current) finish(current, null);
}

function endWorker() {
  worker?.then((running) => running?.terminate());
  worker = null;
}
