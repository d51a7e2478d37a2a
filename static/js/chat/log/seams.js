// What a person is told about the seams of an answer: where another attempt continued it. Its sentences are not in
// text.js, because the first load does not need them.
import { clockTime, spoken } from "../lib/format.js";
import { entryTimeMs } from "../lib/ids.js";

const own = spoken("seams", {
  label: "Continued after an interruption",
  labelBeforeText: "Tried more than once",
  detail: "{time}: {reason} {means} {kept}",
  kept: { one: "{count} byte of text was already stored and kept.", other: "{count} bytes of text were already stored and kept." },
  reasons: {
    lost: "The process that wrote the answer died and another one took over.",
    handover: "The server was restarted and another process took over.",
    provider: "The connection to the model broke.",
    user: "You asked to continue.",
    unknown: "The answer was interrupted.",
  },
  means: {
    prefill: "The model went on from the stored text.",
    ask: "The model was asked to go on exactly where it stopped.",
    restart: "The model started over.",
  },
});

// Looked up by codes from the server.
/** @type {Record<string, string>} */
const REASONS = own.reasons;
/** @type {Record<string, string>} */
const MEANS = own.means;

/** @typedef {import("./fold.js").Message["seams"]} Seams */

/** @param {Seams} seams */
export const seamsLabel = (seams) => (seams.some(({ length }) => length > 0) ? own.label : own.labelBeforeText);

/** @param {Seams[number]} seam */
export const seamDetail = ({ at, reason, means, length }) =>
  own.detail(clockTime(entryTimeMs(at)), REASONS[reason] ?? own.reasons.unknown, MEANS[means] ?? "", length ? own.kept(length) : "");
