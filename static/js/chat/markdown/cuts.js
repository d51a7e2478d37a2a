// Finds where a long block may be cut in two, so that the part drawn again with each token stays short.
// A cut depends only on the text before it and a little after it, so its place does not depend on how
// the text arrived. Pure.
import { lineEnd, rowsAtOnce } from "./syntax/table_math.js";

/** @typedef {{raw: string, [field: string]: any}} Token a block token of marked or our own */
/** @typedef {{kind: string, prefix: string, start?: number | null}} Carry tells how to read the rest of a block that was cut */
/** @typedef {{end: number, carry: Carry}} Cut */

export const PIECE_CHARS = 3_000;
const LONGEST_HEAD_CHARS = PIECE_CHARS / 2;
const SENTENCE_END = /[.!?:;]["')\]*_]*\s(?=\S)|\n(?=\S)/g;
const WORD_END = /\s(?=\S)/g;

/**
 * Where to cut `token`, a block that begins at the start of `source`, or null.
 * @param {Token} token
 * @param {string} source
 * @returns {Cut | null}
 */
export function cutOf(token, source) {
  if (token.type === "table") return cutTable(token);
  if (token.raw.length <= PIECE_CHARS) return null;
  if (token.type === "list") return cutList(token, source);
  if (token.type === "paragraph") return cutParagraph(token.raw);
  return null;
}

/**
 * Cuts before an item whose first line is complete.
 * @param {Token} token
 * @param {string} source
 * @returns {Cut | null}
 */
function cutList(token, source) {
  let end = 0;
  for (let index = 0; index < token.items.length - 1; index++) {
    end += token.items[index].raw.length;
    if (end < PIECE_CHARS) continue;
    if (source.indexOf("\n", end) < 0) return null;
    const start = token.ordered ? Number(token.start) + index + 1 : null;
    return { end, carry: { kind: "list", prefix: "", start } };
  }
  return null;
}

/**
 * Cuts after a row once the next one is complete; the rest is parsed below the same head. A long head, which
 * would be most of each piece, is repeated only after the number of rows that are drawn at once.
 * @param {Token} token
 * @returns {Cut | null}
 */
function cutTable(token) {
  const headEnd = token.raw.indexOf("\n", token.raw.indexOf("\n") + 1) + 1;
  const manyRows = lineEnd(token.raw, headEnd, rowsAtOnce(token.raw.slice(0, token.raw.indexOf("\n"))));
  const manyChars = headEnd > LONGEST_HEAD_CHARS ? 0 : token.raw.indexOf("\n", PIECE_CHARS) + 1;
  const end = Math.min(manyRows, manyChars || manyRows);
  if (end === 0 || token.raw.indexOf("\n", end) < 0 || !token.raw.slice(end).trim()) return null;
  return { end, carry: { kind: "table", prefix: token.raw.slice(0, headEnd) } };
}

/**
 * Cuts after a sentence where no emphasis, code, math or link is open, else after a word.
 * @param {string} raw
 * @returns {Cut | null}
 */
function cutParagraph(raw) {
  const end = firstCut(raw, SENTENCE_END, PIECE_CHARS, 2 * PIECE_CHARS, isBalanced)
    ?? firstCut(raw, WORD_END, 2 * PIECE_CHARS, 3 * PIECE_CHARS, () => true)
    ?? (raw.length > 3 * PIECE_CHARS ? wholeCharacter(raw, 3 * PIECE_CHARS) : null);
  return end === null ? null : { end, carry: { kind: "paragraph", prefix: PARAGRAPH_PREFIX } };
}

// With this prefix the rest of a paragraph is parsed as a paragraph, whatever it begins with ("2. ", "#").
export const PARAGRAPH_PREFIX = "\u2060";

/**
 * @param {string} raw
 * @param {RegExp} pattern
 * @param {number} from
 * @param {number} to
 * @param {(text: string) => boolean} isGood
 */
function firstCut(raw, pattern, from, to, isGood) {
  if (raw.length < from) return null;
  pattern.lastIndex = from;
  for (let match = pattern.exec(raw); match && match.index < to; match = pattern.exec(raw)) {
    const end = match.index + match[0].length;
    if (isGood(raw.slice(0, end)) && !lineAt(raw, end).includes("|")) return end;
  }
  return null;
}

/** @param {string} text */
function isBalanced(text) {
  /** @param {string} mark */
  const count = (mark) => text.split(mark).length - 1;
  return [count("`"), count("**"), count("$"), count("~~")].every((number) => number % 2 === 0)
    && count("[") === count("]") && count("(") === count(")") && count("\\(") === count("\\)");
}

/**
 * @param {string} raw
 * @param {number} index
 */
function lineAt(raw, index) {
  const end = raw.indexOf("\n", index);
  return raw.slice(raw.lastIndexOf("\n", index - 1) + 1, end < 0 ? raw.length : end);
}

/**
 * @param {string} raw
 * @param {number} index
 */
export const wholeCharacter = (raw, index) => (/[\uDC00-\uDFFF]/.test(raw[index]) ? index + 1 : index);
