// One block of markdown as nodes. The parts with behaviour (code, formulas, footnotes, boxes that scroll) are
// built here and added to the sanitised nodes; they never come from the text.
import { text } from "../text.js";
import { CodeBlock } from "./code_block.js";
import { fill, hasHidden, shown } from "./hidden.js";
import { htmlOf } from "./html.js";
import { typeset } from "./math.js";
import { sanitized } from "./sanitize.js";

/** `budget`: the number of nodes that may be made at once. */
export function nodesOf(token, notes, budget) {
  const fragment = sanitized(htmlOf(token, notes));
  // Neither code nor formulas affect the direction of the text around them.
  for (const element of fragment.querySelectorAll("code, .math")) element.dir = "ltr";
  for (const code of fragment.querySelectorAll(":not(pre) > code")) showHidden(code);
  // Below the heading of the message, which is of level 2. The tags stay, for the styles and for copying.
  for (const heading of fragment.querySelectorAll("h1, h2, h3, h4, h5, h6")) heading.ariaLevel = String(Math.min(6, Number(heading.localName[1]) + 2));
  for (const pre of fragment.querySelectorAll("pre")) dressCode(pre, budget);
  for (const table of fragment.querySelectorAll(".md-table")) dressTable(table);
  for (const formula of fragment.querySelectorAll(".math")) typeset(formula, budget);
  for (const box of fragment.querySelectorAll("input[type=checkbox]")) {
    box.disabled = true;
    box.setAttribute("aria-label", box.checked ? text.taskDone : text.taskOpen);
  }
  for (const reference of fragment.querySelectorAll(".note-ref")) dressReference(reference);
  for (const note of fragment.querySelectorAll(".note")) dressNote(note, notes);
  return fragment;
}

/** Marks hidden characters in inline code. */
function showHidden(code) {
  if (hasHidden(code.textContent)) fill(code, shown(code.textContent));
}

function dressCode(pre, budget) {
  const block = new CodeBlock(pre.dataset.language ?? "", budget);
  const code = pre.textContent;
  block.append(code.endsWith("\n") ? code : `${code}\n`);
  block.finish();
  pre.replaceWith(block.element);
}

function dressTable(box) {
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", text.table);
}

function dressReference(element) {
  const jump = document.createElement("button");
  jump.type = "button";
  jump.dataset.jump = "note";
  jump.textContent = element.textContent;
  jump.setAttribute("aria-label", text.footnote(element.textContent));
  element.replaceChildren(jump);
}

function dressNote(note, notes) {
  const number = notes?.numberOf(note.dataset.note) ?? null;
  const label = document.createElement("span");
  label.className = "note-number";
  label.textContent = number === null ? `${note.dataset.note}.` : `${number}.`;
  const back = document.createElement("button");
  back.type = "button";
  back.className = "note-back";
  back.dataset.jump = "reference";
  back.textContent = "↩";
  back.setAttribute("aria-label", text.backToText);
  const body = document.createElement("div");
  body.append(...note.childNodes);
  (body.lastElementChild ?? body).append(" ", back);
  note.append(label, body);
}

/** Moves between a footnote and its reference; returns whether the click was on such a button. */
export function footnoteClicked(event) {
  const clicked = event.target.closest?.("[data-jump]");
  const root = clicked?.closest(".md");
  if (!root) return false;
  const toNote = clicked.dataset.jump === "note";
  const label = clicked.closest("[data-note]").dataset.note;
  const target = [...root.querySelectorAll(toNote ? ".note" : ".note-ref")].find((one) => one.dataset.note === label);
  const focused = target?.querySelector("button");
  focused?.focus({ preventScroll: true });
  target?.scrollIntoView({ block: "center", behavior: "auto" });
  return true;
}
