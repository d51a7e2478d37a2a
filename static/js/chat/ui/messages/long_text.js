import { html } from "../../../preact.js";
import { piecesOf } from "../../lib/plain_text.js";

/** Plain text. A long one is split into pieces, which are laid out only in view: layout takes seconds in some scripts. */
export function LongText({ content }) {
  const pieces = piecesOf(content);
  if (pieces.length < 2) return content;
  return pieces.map((piece) => html`<div class="long-piece" dir="auto">${piece}</div>`);
}
