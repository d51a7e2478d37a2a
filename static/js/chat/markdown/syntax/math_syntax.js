// Math in markdown: `$…$`, `\(…\)`, `$$…$$`, `\[…\]` and LaTeX environments. Amounts like "$5 and $10" are
// not math: a dollar opens only before a character that is not a space, and closes only after one and not
// before a digit. Names ("$HOME/$USER") are not math either, nor is text in which a code span begins or
// ends. A formula that is not closed within its paragraph is text, but on lines of its own it may contain
// blank lines (./math_blocks.js). Pure.
import { mathBlock } from "./math_blocks.js";
import { environmentAt, environmentEnd, needsLines } from "./math_environments.js";
import { SPACELESS } from "./scripts.js";

/**
 * The parts of BoundedLexer that inline tokenizers use.
 * @typedef {object} InlineLexer
 * @property {{source: string}} reading
 * @property {(pattern: string | RegExp, rest: string) => number | undefined} nextInLine
 * @property {() => boolean} lineMayGrow
 */

const LONGEST_TEX = 4_000;
/** @type {Record<string, string>} */
export const CLOSING = { "\\(": "\\)", "\\[": "\\]" };
const DOLLARS = [
  { rule: /^\$\$((?:\\[^]|[^$\\])+)\$\$/, isDisplay: true },
  { rule: /^\$(?![\s$])((?:\\[^]|[^$\\\n]|\n(?![ \t]*\n))*?)(?<![\s\\])\$(?![\d$])/, isDisplay: false },
];
// Text that begins like an amount and continues in words is prose between two amounts.
const PROSE = new RegExp(`^\\d[^\\\\]*?(?:[A-Za-z]{2,}[ ,;]+[A-Za-z]{2,}|${SPACELESS})`, "u");
// No formula begins like this, but text after an amount does: "5$, 10$", "20$/month", "5 $. In 3 $".
const GOES_ON = /^(?:[;,/)]|[.:!?](?:\s|$))/;
// After a digit ("5$-10$") a dollar ends an amount, unless what follows is TeX ("90$^\circ$").
const AFTER_DIGIT = /\d$/;
const IS_TEX = /[\\^_]/;
// "$HOME/$USER", "$i<$n": the second dollar begins another name. In "$n$th" it does not.
const BEFORE_NAME = /^[A-Za-z_{]/;
const ENDS_NAME = /^[A-Za-z_]\w+$|[^\p{L}\p{N})}\]|!]$/u;
const LONGEST_HELD = 1_000;
const LOOKS_LIKE_TEX = /^\$[^\s$][^$\n]*(?:\\[A-Za-z]{2}|[_^]\{|\^\d)[^$\n]*$/;

const OPENING = /\$|\\(?:[([]|begin\{)/g;

const inlineMath = {
  name: "math",
  level: "inline",
  /**
   * @this {{lexer: InlineLexer}}
   * @param {string} source
   */
  start(source) {
    return this.lexer.nextInLine(OPENING, source);
  },
  /**
   * @this {{lexer: InlineLexer}}
   * @param {string} source
   */
  tokenizer(source) {
    const { source: whole } = this.lexer.reading;
    const at = whole.length - source.length;
    const closing = CLOSING[source.slice(0, 2)];
    const mayClose = !closing || this.lexer.nextInLine(closing, source) !== undefined;
    const math = mayClose ? mathAt(source, whole.slice(at - 1, at)) : undefined;
    return math ?? (this.lexer.lineMayGrow() && isBegun(source) ? { type: "plain", raw: source } : undefined);
  },
};

/**
 * The inline formula at the start of `source`, after the character `before`; or undefined.
 * @param {string} source
 * @param {string} before
 */
export function mathAt(source, before) {
  if (source[0] === "$") return betweenDollars(source.slice(0, LONGEST_TEX), before);
  if (source[0] !== "\\") return undefined;
  return betweenBrackets(source.slice(0, LONGEST_TEX)) ?? environment(source.slice(0, LONGEST_TEX));
}

/**
 * Whether `source` begins an unclosed formula, which is shown as it was written while the text grows.
 * @param {string} source
 */
function isBegun(source) {
  if (source.length > LONGEST_HELD) return false;
  return /^(?:\\[([]|\$\$)/.test(source) || environmentAt(source) !== undefined || LOOKS_LIKE_TEX.test(source);
}

/**
 * @param {string} head
 * @param {string} before
 */
function betweenDollars(head, before) {
  for (const { rule, isDisplay } of DOLLARS) {
    const match = rule.exec(head);
    if (!match || !match[1].trim()) continue;
    if (isDisplay ? cutsCode(match[1]) : isText(match[1], before, head.slice(match[0].length, match[0].length + 1))) return undefined;
    return { type: "math", raw: match[0], text: match[1].trim(), isDisplay: isDisplay || needsLines(match[1]) };
  }
  return undefined;
}

/**
 * Whether `tex` is not a formula but text between two unrelated dollars.
 * @param {string} tex
 * @param {string} before
 * @param {string} after
 */
function isText(tex, before, after) {
  if (PROSE.test(tex) || GOES_ON.test(tex) || tex.includes("`")) return true;
  if (AFTER_DIGIT.test(before) && !IS_TEX.test(tex)) return true;
  return BEFORE_NAME.test(after) && (ENDS_NAME.test(tex) || /[A-Z_{]/.test(after));
}

/**
 * A code span takes precedence over a formula that ends in it.
 * @param {string} tex
 */
const cutsCode = (tex) => tex.split("`").length % 2 === 0;

/**
 * Every start without an end costs a search through `head`, so this uses no regular expression.
 * @param {string} head
 */
function betweenBrackets(head) {
  const closing = CLOSING[head.slice(0, 2)];
  const end = closing ? head.indexOf(closing, 2) : -1;
  const tex = head.slice(2, Math.max(2, end)).trim();
  if (!tex || cutsCode(tex)) return undefined;
  return { type: "math", raw: head.slice(0, end + 2), text: tex, isDisplay: closing === CLOSING["\\["] || needsLines(tex) };
}

/** @param {string} head */
function environment(head) {
  const name = environmentAt(head);
  const end = name ? environmentEnd(head, name) : -1;
  if (end < 0) return undefined;
  const tex = head.slice(0, end);
  return { type: "math", raw: tex, text: tex, isDisplay: needsLines(tex) };
}

export const mathExtensions = [mathBlock, inlineMath];

const DEEPEST_TEX = 40;
const NESTS = /\\[^]|[{}]/g;

/**
 * Whether the groups in `tex` are nested too deep for a reader and for a browser's layout.
 * @param {string} tex
 */
export function isTooDeep(tex) {
  let depth = 0;
  for (const [mark] of tex.matchAll(NESTS)) {
    if (mark === "{") depth += 1;
    else if (mark === "}") depth -= 1;
    if (depth > DEEPEST_TEX) return true;
  }
  return false;
}

const DEFINES = /\\(?:[egx]?def|(?:re)?newcommand|providecommand|(?:future)?let)(?![A-Za-z])/;
const LONGEST_DEFINING_TEX = 300;
const MOST_EXPANSIONS = 300;
const MOST_OWN_EXPANSIONS = 50;

/**
 * The number of macros that KaTeX may expand in `tex`; 0 if `tex` must not be drawn. KaTeX's own macros are
 * short. A macro that the text defines may have any length, and one with a parameter may double its argument.
 * @param {string} tex
 */
export function expansionsFor(tex) {
  if (tex.length > LONGEST_TEX) return 0;
  if (!DEFINES.test(tex)) return MOST_EXPANSIONS;
  return tex.length > LONGEST_DEFINING_TEX || tex.includes("#") ? 0 : MOST_OWN_EXPANSIONS;
}
