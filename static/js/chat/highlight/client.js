// The page's side of highlighting: code goes to a worker, runs of [class, text] come back. Without
// a worker, or for a language that is not known, code stays plain.
import { knownLanguage } from "./languages.js";

const LONGEST_CODE_CHARS = 300_000;

let worker = null;
let nextId = 1;
const waiting = new Map();

/** The runs of `code`, or null when it is to stay as it is. */
export async function highlighted(code, language) {
  const name = knownLanguage(language);
  if (!name || code.length > LONGEST_CODE_CHARS) return null;
  worker ??= start();
  const running = await worker;
  if (!running) return null;
  const id = nextId++;
  return new Promise((done) => {
    waiting.set(id, done);
    running.postMessage({ id, code, language: name });
  });
}

async function start() {
  try {
    const { address } = await import("./worker.js");
    const started = new Worker(address, { type: "module" });
    started.addEventListener("message", ({ data }) => settle(data.id, data.runs));
    started.addEventListener("error", giveUp);
    return started;
  } catch {
    return null;
  }
}

function settle(id, runs) {
  waiting.get(id)?.(runs);
  waiting.delete(id);
}

function giveUp() {
  worker = Promise.resolve(null);
  for (const id of waiting.keys()) settle(id, null);
}
