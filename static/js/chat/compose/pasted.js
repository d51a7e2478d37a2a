// Long pasted texts are shown folded in the composer. In the sent message each becomes a fenced block named
// `pasted` below the text, which models understand and the page recognises. What a field would lay out too
// slowly is folded as well, wherever it came from.

const LONG_CHARS = 2_000;
const LONG_LINES = 30;
/** The most pasted texts of a message that are folded; further ones stay text. */
const MOST_PASTES = 50;
/** What a browser lays out in a field in tens of milliseconds: so many characters of any script, and so many costs. */
const FIELD_CHARS = 32_000;
const FIELD_COST = 4_000;
/** Line breaks, controls of direction, and words from the right with what has no direction of its own. */
const COSTLY = /\n|[\u200e\u200f\u202a-\u202e\u2066-\u2069]|[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc][\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc -@]*/g;
const OPENING = /(?:^|\n\n)(`{3,})pasted\n/g;
const CLOSED = /\n\n|$/y;

/** @param {string} text */
export const lineCount = (text) => text.split("\n").length;

/**
 * `text` in parts that a field can show; a part ends at a line break, if there is one in its second half.
 * @param {string} text
 */
export function partsOf(text) {
  const parts = [];
  for (let at = 0; at < text.length; ) {
    const end = fieldEnd(text, at);
    const line = text.lastIndexOf("\n", end - 1) + 1;
    const cut = end < text.length && line > (at + end) / 2 ? line : end;
    parts.push(text.slice(at, cut));
    at = cut;
  }
  return parts;
}

/** @param {string} text */
export function isTooLongForField(text) {
  return 2 * text.length > FIELD_COST && fieldEnd(text, 0) < text.length;
}

/**
 * The end of what a field can show of `text` from `from` on.
 * @param {string} text
 * @param {number} from
 */
function fieldEnd(text, from) {
  const most = from + FIELD_CHARS;
  let cost = 0;
  COSTLY.lastIndex = from;
  for (let match = COSTLY.exec(text); match && match.index < most; match = COSTLY.exec(text)) {
    // A change of direction takes time that grows with the square of their number in a paragraph.
    cost += match[0] === "\n" ? 1 : 2;
    if (cost > FIELD_COST) return match.index;
  }
  if (most >= text.length) return text.length;
  return /[\uDC00-\uDFFF]/.test(text[most]) ? most - 1 : most;
}

/**
 * The message with a text that a field can show: what follows its first part is a further pasted text, or part
 * of the last one if there are `most`.
 * @param {{text: string, pastes: string[]}} written
 */
export function fitted({ text, pastes }, most = MOST_PASTES) {
  if (!isTooLongForField(text)) return { text, pastes };
  const [start, ...rest] = partsOf(text);
  const end = rest.join("");
  const fits = pastes.length < most ? [...pastes, end] : [...pastes.slice(0, -1), together(pastes[most - 1], end)];
  return { text: start.replace(/\n$/, ""), pastes: fits };
}

/** @param {string} text */
export function isLong(text) {
  return text.length > LONG_CHARS || lineCount(text) > LONG_LINES;
}

/**
 * `text` without leading blank lines and trailing spaces; the first line keeps its indentation.
 * @param {string} text
 */
export function trimmed(text) {
  return text.trimEnd().replace(/^(?:[^\S\n]*\n)+/, "");
}

/**
 * Texts one below the other.
 * @param {string[]} texts
 */
export const together = (...texts) => texts.filter(Boolean).join("\n\n");

/**
 * The message as it is sent.
 * @param {{text: string, pastes: string[]}} written
 */
export function joined({ text, pastes }) {
  return together(trimmed(text), ...pastes.map(fenced));
}

/**
 * The parts of a sent message, the reverse of `joined`.
 * @param {string} content
 */
export function taken(content) {
  const pastes = [];
  const between = [];
  // Fences that nothing further down closes.
  const open = new Set();
  let end = 0;
  OPENING.lastIndex = 0;
  for (let match = OPENING.exec(content); match && pastes.length < MOST_PASTES; match = OPENING.exec(content)) {
    const from = OPENING.lastIndex;
    const closing = `\n${match[1]}`;
    const to = open.has(closing) ? -1 : closingAt(content, closing, from);
    if (to < 0) {
      open.add(closing);
      OPENING.lastIndex = match.index + 1;
      continue;
    }
    between.push(content.slice(end, match.index));
    pastes.push(content.slice(from, to));
    end = to + closing.length;
    OPENING.lastIndex = end;
  }
  return { text: trimmed([...between, content.slice(end)].join("")), pastes };
}

/**
 * The index from `from` on where `closing` ends a block (a fence alone on its line, then a blank line or
 * the end); or -1.
 * @param {string} content
 * @param {string} closing
 * @param {number} from
 */
function closingAt(content, closing, from) {
  for (let at = content.indexOf(closing, from); at >= 0; at = content.indexOf(closing, at + 1)) {
    CLOSED.lastIndex = at + closing.length;
    if (CLOSED.test(content)) return at;
  }
  return -1;
}

/**
 * The fence is longer than any run of backticks inside, so that nothing inside can end it.
 * @param {string} paste
 */
function fenced(paste) {
  const runs = paste.match(/`+/g) ?? [];
  const fence = "`".repeat(runs.reduce((longest, run) => Math.max(longest, run.length + 1), 3));
  return `${fence}pasted\n${paste}\n${fence}`;
}
