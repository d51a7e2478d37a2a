// Notes below an answer that has ended normally but may be incomplete.
import { text } from "../text.js";

/** @type {Record<string, string>} */
const OMITTED = text.omitted;

/**
 * Sentences about how the answer ended and about content besides text; [] for most answers.
 * @param {import("./fold.js").Message} message
 */
export function endNotes(message) {
  const notes = [endNote(message), ...(message.omitted ?? []).map((kind) => OMITTED[kind] ?? text.omitted.something)];
  return [...new Set(notes.filter((note) => note !== null))];
}

/**
 * @param {import("./fold.js").Message} message
 * @returns {string | null}
 */
function endNote({ finish, text: answer, files }) {
  switch (finish) {
    case "length":
      return text.lengthLimit;
    case "content_filter":
      return text.contentFilter;
    case "tool_calls":
      return text.toolCalled;
    case "unknown":
      return text.endUnknown;
    case "stop":
    case "stopped":
    case null:
      return answer || files ? null : text.emptyAnswer;
    default:
      return text.endOther(finish);
  }
}
