// What must be said below an answer that has ended in order, and may not be whole all the same.
import { text } from "./text.js";

/** Sentences about how it ended and about what it held besides text; none for most. */
export function endNotes(message) {
  const notes = [endNote(message), ...(message.omitted ?? []).map((kind) => text.omitted[kind] ?? text.omitted.something)];
  return [...new Set(notes.filter(Boolean))];
}

function endNote({ finish, text: answer }) {
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
      return answer ? null : text.emptyAnswer;
    default:
      return text.endOther(finish);
  }
}
