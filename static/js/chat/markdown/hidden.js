// Marks invisible characters in code, and those that reorder visible ones, because they can make code look
// different from what it does ("Trojan Source"). They are shown by their code points. The text, and so a
// copy of it, stays unchanged.
import { text } from "../text.js";

const USUAL = /^[\t\n\x20-\x7e]*$/;
const HIDDEN = "[\\p{Default_Ignorable_Code_Point}\\p{Cc}\\u2028\\u2029\\uFFF9-\\uFFFB]";
// Legitimate uses: in emoji, and between letters of scripts that join them.
const JOINED = `[${["Arabic", "Bengali", "Devanagari", "Gujarati", "Gurmukhi", "Kannada", "Khmer", "Malayalam", "Mongolian", "Oriya", "Sinhala",
  "Syriac", "Tamil", "Telugu"].map((script) => `\\p{Script=${script}}`).join("")}]`;
const IN_USE = [
  "[\\t\\n]",
  "(?<=[\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\uFE0F])\\u200D(?=\\p{Extended_Pictographic})",
  "(?<=\\p{Extended_Pictographic})[\\uFE0E\\uFE0F]",
  "(?<=[0-9#*])\\uFE0F(?=\\u20E3)",
  "(?<=\\p{Script=Han})[\\uFE00-\\uFE02\\u{E0100}-\\u{E01EF}]",
  `(?<=${JOINED})[\\u200C\\u200D](?=${JOINED})`,
].join("|");
const RUN = new RegExp(`(?:(?!${IN_USE})${HIDDEN})+`, "gu");
const NAMED = 4; // the most code points of one run that are listed
/** The most marks in one element; after that, the rest of a line is a single mark. */
export const MOST_MARKS = 500;

/** @param {string} code */
export function hasHidden(code) {
  return !USUAL.test(code) && code.search(RUN) >= 0;
}

/**
 * `code` as text and nodes: each run of hidden characters is in a mark. There are at most `room` marks and
 * one for the rest.
 * @param {string} code
 * @returns {(string | HTMLElement)[]}
 */
export function shown(code, room = MOST_MARKS) {
  if (USUAL.test(code)) return [code];
  /** @type {(string | HTMLElement)[]} */
  const parts = [];
  let end = 0;
  let marks = 0;
  for (const { 0: run, index } of code.matchAll(RUN)) {
    if (index > end) parts.push(code.slice(end, index));
    marks += 1;
    if (marks > room) {
      const rest = code.slice(index);
      const newline = rest.endsWith("\n") ? "\n" : "";
      return [...parts, mark(rest.slice(0, rest.length - newline.length)), newline];
    }
    parts.push(mark(run));
    end = index + run.length;
  }
  if (end < code.length) parts.push(code.slice(end));
  return parts;
}

/**
 * The number of marks among the parts.
 * @param {(string | HTMLElement)[]} parts
 */
export const marksIn = (parts) => parts.filter((part) => typeof part !== "string").length;

/**
 * Put any number of `parts` into `element`.
 * @param {Element} element
 * @param {(string | Node)[]} parts
 */
export function fill(element, parts) {
  const fragment = document.createDocumentFragment();
  for (const part of parts) fragment.append(part);
  element.replaceChildren(fragment);
}

/** @param {string} run */
function mark(run) {
  const numbers = [...run].map((character) => `U+${character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}`);
  const isLong = numbers.length > NAMED;
  const label = isLong ? `${numbers.slice(0, NAMED - 1).join(" ")} … ×${numbers.length}` : numbers.join(" ");
  const element = document.createElement("span");
  element.className = "hidden-character";
  element.dataset.shown = label;
  element.title = text.hiddenCharacters(label);
  element.setAttribute("role", "img");
  element.setAttribute("aria-label", element.title);
  element.textContent = run;
  return element;
}
