import { html } from "../../preact.js";
import { text } from "../text.js";

const READ_OUT_CHARS = 1_200;

/** Tells a screen reader an answer once it is whole: never token by token. */
export function Announcer({ store }) {
  const open = store.current.value;
  const ended = open?.lastEnded.value;
  const message = ended && open.transcript.messages[ended.id];
  return html`<div class="visually-hidden" aria-live="polite" aria-atomic="true">${message ? spoken(message) : ""}</div>`;
}

function spoken(message) {
  if (message.status === "error") return message.error.text;
  return `${text.answerComplete} ${message.text.slice(0, READ_OUT_CHARS)}`;
}
