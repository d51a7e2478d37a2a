import { html } from "../../../preact.js";
import { piecesOf } from "../../lib/plain_text.js";

/** Text as it was written. A long one in pieces: out of sight they are not laid out, which takes seconds in some scripts. */
export function LongText({ content }) {
  const pieces = piecesOf(content);
  if (pieces.length < 2) return content;
  return pieces.map((piece) => html`<div class="long-piece" dir="auto">${piece}</div>`);
}
