// Formulas on lines of their own: between `$$`, between `\[` and `\]`, and LaTeX environments. They may
// contain blank lines. An unclosed one may still be closed, unless prose follows a blank line: then its
// mark is text. Pure.
import { upToBlankLine } from "./block_start.js";
import { ENVIRONMENT, environmentAt, environmentEnd } from "./math_environments.js";
import { isProse } from "./prose.js";

const OPENING = new RegExp(`^ {0,3}(\\$\\$|\\\\\\[|${ENVIRONMENT})`);
const MARKS = new RegExp(`\\n {0,3}(?:\\$\\$|\\\\\\[|${ENVIRONMENT})|\\$\\$|\\\\[[\\]()]`, "g");
const MARGIN_START = new RegExp(`\\n(?=\\$\\$|\\\\\\[|${ENVIRONMENT})`, "g");
const LATE_OPENING = /(\$\$|\\\[)[ \t]*\n/g;
/** @typedef {import("./block_start.js").BlockLexer & {blockMayGrow(): boolean}} MathLexer */
/** @typedef {{type: string, raw: string, text: string | null, isOpen?: boolean}} MathToken */

/** @type {Record<string, string>} */
const CLOSING = { $$: "$$", "\\[": "\\]" };
const BLANK_LINE = /\n[ \t]*\n/g;
const LINE_END = /[ \t]*(?:\n|$)/y;
/** The maximum length of a formula that contains blank lines. */
const LONGEST_OVER_BLANK_LINES = 4_000;

export const mathBlock = {
  name: "mathBlock",
  level: "block",
  /**
   * @this {{lexer: MathLexer}}
   * @param {string} source
   */
  start(source) {
    // Within a list marked reads line by line, and recognises a block when it reaches it.
    if (!this.lexer.state.top) return undefined;
    const paragraph = upToBlankLine(this.lexer, source);
    const own = ownStart(paragraph);
    const late = lateStart(this.lexer, paragraph.slice(0, own), source);
    return late >= 0 ? late : own;
  },
  /**
   * @this {{lexer: MathLexer}}
   * @param {string} source
   */
  tokenizer(source) {
    return blockAt(source, this.lexer.blockMayGrow());
  },
};

/**
 * The index in `paragraph` of a formula on a line of its own, unless it is within another formula; or undefined.
 * @param {string} paragraph
 */
function ownStart(paragraph) {
  let isOpen = /^\$(?!\$)/.test(paragraph); // `paragraph` lacks its first character
  /** @type {Record<string, number>} */
  const brackets = { "[": 0, "(": 0 };
  for (const { index, 0: mark } of paragraph.matchAll(MARKS)) {
    const isAtStart = mark[0] === "\n";
    if (isAtStart && (mark.endsWith("\\[") || !(isOpen || brackets["["] > 0 || brackets["("] > 0))) return index + 1;
    if (mark.endsWith("$$")) isOpen = !isOpen;
    else if (mark.endsWith("[") || mark.endsWith("(")) brackets[mark[mark.length - 1]] += 1;
    else if (mark.endsWith("]")) brackets["["] -= 1;
    else if (mark.endsWith(")")) brackets["("] -= 1;
  }
  return undefined;
}

/**
 * The index in `paragraph`, with which `source` begins, of a formula of several lines that begins after words
 * on the same line; -1 if there is none.
 * @param {MathLexer} lexer
 * @param {string} paragraph
 * @param {string} source
 */
export function lateStart(lexer, paragraph, source) {
  if (!lexer.state.top) return -1;
  LATE_OPENING.lastIndex = 0;
  const match = LATE_OPENING.exec(paragraph);
  if (!match) return -1;
  const isClosing = match[1] === "$$" && paragraph.slice(0, match.index).split("$$").length % 2 === 0;
  return !isClosing && isFormula(lexer, source.slice(match.index)) ? match.index : -1;
}

/**
 * `source`, which begins with a list or a table, up to a formula that does not belong to it. Such a formula
 * follows a row, or is at the margin below an item and contains blank lines, where the list would end.
 * @param {MathLexer} lexer
 * @param {string} source
 * @param {{isList: boolean}} options
 */
export function beforeFormula(lexer, source, { isList }) {
  if (lexer.blockPlaces.next(MARGIN_START, source) < 0) return source;
  for (const { index, 0: lineEnd } of source.matchAll(MARGIN_START)) {
    const rest = source.slice(index + lineEnd.length);
    if (!isList && rest.slice(0, rest.search(/\n|$/)).includes("|")) continue;
    const token = isFormula(lexer, rest);
    // A formula without blank lines is part of the item above.
    if (token && (!isList || token.isOpen || /\n[ \t]*\n/.test(token.text ?? ""))) return source.slice(0, index + 1);
  }
  return source;
}

/**
 * @param {MathLexer} lexer
 * @param {string} source
 */
function isFormula(lexer, source) {
  const token = blockAt(source, lexer.blockMayGrow());
  return token && (token.isOpen || token.text !== null) ? token : undefined;
}

/**
 * The formula at the start of `source`. The text of an unclosed formula is null. While it may still be closed,
 * the token is open; otherwise it ends at the first blank line, and there is no token if that text is prose.
 * @param {string} source
 * @param {boolean} mayGrow
 * @returns {MathToken | undefined}
 */
function blockAt(source, mayGrow) {
  const opening = OPENING.exec(source);
  if (!opening) return undefined;
  const mark = opening[1];
  const isEnvironment = !(mark in CLOSING);
  const from = opening[0].length - (isEnvironment ? mark.length : 0);
  BLANK_LINE.lastIndex = from;
  const blank = BLANK_LINE.exec(source)?.index ?? source.length;
  const end = closingEnd(source, { mark, from, blank });
  if (end < 0) return unclosed(source, { from, blank, mayGrow });
  LINE_END.lastIndex = end;
  const tex = source.slice(from, end - (isEnvironment ? 0 : mark.length)).trim();
  if (!tex) return undefined;
  const isAlone = LINE_END.test(source);
  // Text after a formula of several lines ("$$.", "$$ (1)") becomes a paragraph below it. An environment
  // followed by text on the same line is inline.
  if (!isAlone && (isEnvironment || !source.slice(0, end).includes("\n"))) return undefined;
  return { type: "mathBlock", raw: source.slice(0, isAlone ? LINE_END.lastIndex : end), text: tex };
}

/**
 * The index after the closing mark, or -1.
 * @param {string} source
 * @param {{mark: string, from: number, blank: number}} opening
 */
function closingEnd(source, { mark, from, blank }) {
  const closing = CLOSING[mark];
  const found = closing ? source.indexOf(closing, from) : environmentEnd(source, environmentAt(mark) ?? "", from);
  const end = closing && found >= 0 ? found + closing.length : found;
  if (end <= blank) return end;
  return end <= from + LONGEST_OVER_BLANK_LINES && !hasProse(source.slice(from, end)) ? end : -1;
}

/**
 * @param {string} source
 * @param {{from: number, blank: number, mayGrow: boolean}} opening
 * @returns {MathToken | undefined}
 */
function unclosed(source, { from, blank, mayGrow }) {
  const isLong = source.length >= from + LONGEST_OVER_BLANK_LINES;
  if (mayGrow && (blank === source.length || (!isLong && !hasProse(source.slice(from))))) {
    return { type: "mathBlock", raw: source, text: null, isOpen: true };
  }
  if (hasProse(source.slice(from, Math.min(blank, from + LONGEST_OVER_BLANK_LINES)))) return undefined;
  return { type: "mathBlock", raw: source.slice(0, blank + 1), text: null };
}

/** @param {string} text */
const hasProse = (text) => text.split("\n").some(isProse);
