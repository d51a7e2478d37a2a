// An answer as HTML for the clipboard: what a word processor or a mail needs, without our classes and buttons.
import { text } from "../text.js";
import { blocksOf, htmlOf } from "./html.js";
import { Notes } from "./notes.js";
import { sanitized } from "./sanitize.js";

// Longer answers are copied as Markdown only: they would have to be drawn as a whole at once.
const MOST_CHARS = 200_000;
const KEPT_ATTRIBUTES = new Set(["href", "align", "start", "colspan"]);

/** The HTML of an answer; null if it is too long. */
export function richText(source) {
  if (source.length > MOST_CHARS) return null;
  const blocks = blocksOf(source);
  const notes = new Notes();
  for (const block of blocks) if (block.type === "footnote") notes.define(block.label);
  for (const block of blocks) notes.referAll(block);
  const root = document.createElement("div");
  for (const block of blocks) root.append(sanitized(htmlOf(block, notes)));
  for (const formula of root.querySelectorAll(".math")) asSource(formula);
  for (const note of root.querySelectorAll(".note")) note.prepend(`${notes.numberOf(note.dataset.note) ?? note.dataset.note}. `);
  for (const box of root.querySelectorAll("input")) box.replaceWith(`[${box.checked ? text.taskDone : text.taskOpen}] `);
  for (const raw of root.querySelectorAll("p.md-raw")) keepLines(raw);
  strip(root);
  return root.innerHTML;
}

/** Remove what only our page needs. */
function strip(root) {
  for (const span of root.querySelectorAll("span")) span.replaceWith(...span.childNodes);
  for (const element of root.querySelectorAll("*"))
    for (const { name } of [...element.attributes]) if (!KEPT_ATTRIBUTES.has(name)) element.removeAttribute(name);
}

/** Few programs read formulas from HTML, and people who write TeX can use it. */
function asSource(formula) {
  const mark = formula.classList.contains("math-display") ? "$$" : "$";
  formula.textContent = `${mark}${formula.textContent}${mark}`;
}

function keepLines(raw) {
  const lines = raw.textContent.split("\n");
  raw.replaceChildren(...lines.flatMap((line, at) => (at ? [document.createElement("br"), line] : [line])));
}
