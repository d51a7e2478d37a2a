// Highlights code in a worker, so that the page does not wait for long code. The page imports this
// module only for its address, which contains the hash of the file.
import { learn } from "./languages.js";
import { runsOf } from "./runs.js";

export const address = import.meta.url;

let highlighter = null;

async function highlight({ id, code, language }) {
  try {
    highlighter ??= (await import("../../../vendor/highlight-11.12.0/core.js")).default;
    await learn(highlighter, language);
    postMessage({ id, hasBegun: true });
    const { value } = highlighter.highlight(code, { language, ignoreIllegals: true });
    postMessage({ id, runs: runsOf(value) });
  } catch {
    postMessage({ id, runs: null });
  }
}

if (typeof WorkerGlobalScope !== "undefined") addEventListener("message", ({ data }) => void highlight(data));
