// Formulas on lines of their own: between `$$`, between `\[` and `\]`, and environments of LaTeX.
// They may hold blank lines. Whether one that is not closed yet may still be closed is decided by
// the text up to there: a line of prose after a blank one says that the mark was none. Pure.
import { blockStart } from "./block_start.js";
import { ENVIRONMENT, environmentAt, environmentEnd } from "./math_environments.js";

const OPENING = new RegExp(`^ {0,3}(\\$\\$|\\\\\\[|${ENVIRONMENT})`);
const BLOCK_START = new RegExp(`\\n {0,3}(?:\\$\\$|\\\\\\[|${ENVIRONMENT})`);
const LATE_OPENING = /(\$\$|\\\[)[ \t]*\n/g;
const CLOSING = { $$: "$$", "\\[": "\\]" };
const BLANK_LINE = /\n[ \t]*\n/g;
const LINE_END = /[ \t]*(?:\n|$)/y;
/** With blank lines in it a formula is no longer than this. */
const LONGEST_OVER_BLANK_LINES = 4_000;

const COMMAND = /\\[A-Za-z]{1,30}\*?(?:\{[^{}]{0,400}\})?/g;
const WORDS = /(?<!\p{L})(?:\p{L}{2,}[,;:]? ){2}\p{L}{2,}/u;
const SPACELESS_WORDS = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]{5}|[。！？]/u;
const MARKUP = /^ {0,3}(?:`{3}|~{3}|#{1,6} |(?:[-*+]|\d{1,9}[.)]) +\p{L}{2}|\|)|(?<![\\$])\$(?!\$)|\\\(/u;

export const mathBlock = {
  name: "mathBlock",
  level: "block",
  start(source) {
    const own = blockStart(this.lexer, source, BLOCK_START);
    const late = this.lexer.state.top ? lateStart(this.lexer, source.slice(0, own), source) : -1;
    return late >= 0 ? late : own;
  },
  tokenizer(source) {
    return blockAt(source, this.lexer.blockMayGrow());
  },
};

/** After words on the same line, if what follows is a formula to its end. */
function lateStart(lexer, paragraph, source) {
  LATE_OPENING.lastIndex = 0;
  const match = LATE_OPENING.exec(paragraph);
  if (!match) return -1;
  const isClosing = match[1] === "$$" && paragraph.slice(0, match.index).split("$$").length % 2 === 0;
  return !isClosing && blockAt(source.slice(match.index), lexer.blockMayGrow()) ? match.index : -1;
}

/** The formula that `source` begins with; its text is null while it is not closed. */
function blockAt(source, mayGrow) {
  const opening = OPENING.exec(source);
  if (!opening) return undefined;
  const mark = opening[1];
  const isEnvironment = !(mark in CLOSING);
  const from = opening[0].length - (isEnvironment ? mark.length : 0);
  const end = closingEnd(source, mark, from, mayGrow);
  if (end === OPEN) return { type: "mathBlock", raw: source, text: null };
  LINE_END.lastIndex = end;
  const tex = source.slice(from, end - (isEnvironment ? 0 : mark.length)).trim();
  if (end < 0 || !tex || !LINE_END.test(source)) return undefined;
  return { type: "mathBlock", raw: source.slice(0, LINE_END.lastIndex), text: tex };
}

const [NONE, OPEN] = [-1, -2];

/** The index after the closing mark, OPEN while it may still come, NONE if there is none. */
function closingEnd(source, mark, from, mayGrow) {
  const closing = CLOSING[mark];
  const found = closing ? source.indexOf(closing, from) : environmentEnd(source, environmentAt(mark), from);
  const end = closing && found >= 0 ? found + closing.length : found;
  BLANK_LINE.lastIndex = from;
  const blank = BLANK_LINE.exec(source)?.index ?? -1;
  if (end >= 0 && (blank < 0 || end <= blank)) return end;
  // Until it is closed its lines are no lists or headings.
  if (blank < 0) return OPEN;
  const limit = from + LONGEST_OVER_BLANK_LINES;
  if (end >= 0) return end <= limit && !hasProse(source.slice(blank, end)) ? end : NONE;
  return mayGrow && source.length < limit && !hasProse(source.slice(blank)) ? OPEN : NONE;
}

const hasProse = (text) => text.split("\n").some(isProse);

function isProse(line) {
  if (MARKUP.test(line)) return true;
  const words = line.replace(COMMAND, "\\");
  return WORDS.test(words) || SPACELESS_WORDS.test(words);
}
