// Pairs the marks of emphasis (`*`, `_`, `~~`) in a text. The rules are CommonMark's with the CJK-friendly
// amendments and three additions:
// - `**` and `~~` beside a quote or a bracket that touches a letter (`**"yes"**and`) count in pairs
//   that the rules leave unpaired, if one of the two counts by the rules.
// - `_` beside punctuation of a script without spaces (`は__「それ」__を`) is not within a word.
// - `~` is text, and so are `~~` between digits (a range) and three or more.
// The time is quadratic in the number of marks, at most a thousand (./bounded_lexer.js). Pure.
import { CLOSING, mathAt } from "./math_syntax.js";
import { Places } from "./places.js";
import { SPACELESS } from "./scripts.js";

/** @typedef {{text: string, kind: number}} Character its kind: SPACE, PUNCTUATION, … */
/** @typedef {Map<number, {end: number, size: number}>} Pairs by the position of the opening mark */

/**
 * A run of one mark.
 * @typedef {object} Run
 * @property {string} mark
 * @property {number} start
 * @property {number} size
 * @property {number} left the marks that are not paired yet
 * @property {number} used the closing marks that are paired
 * @property {Character} before
 * @property {Character} after
 * @property {boolean} opens
 * @property {boolean} closes
 * @property {number} [within] the start of the pair around it
 */

const RUN = /\*+|_+|~+/g;
const [SPACE, PUNCTUATION, SPACELESS_PUNCTUATION, SPACELESS_LETTER, OTHER] = [0, 1, 2, 3, 4];
const IS_SPACE = /^\s/u;
const IS_PUNCTUATION = /^[\p{P}\p{S}]/u;
const IS_SPACELESS = new RegExp(`^${SPACELESS}`, "u");
const OPENS = /^[\p{Ps}\p{Pi}]/u;
/** Closing quotes that are opening quotes in other languages: „so“ and »so«. */
const TURNED_QUOTES = ["„“", "‚‘", "»«", "›‹"];
const ENDS = /^[\p{Pe}.,;:!?]/u;
const DIGIT = /^\p{Nd}/u;
const MAY_BE_MATH = /\$|\\(?:[([]|begin\{)/g;

/**
 * The pairs in `source`: position of the opening mark -> {end, size}. `masked` is the same text as
 * marked masks it: code, links, tags and escaped characters are replaced by other characters.
 * @param {string} source
 * @param {string} masked
 */
export function pairsIn(source, masked) {
  const runs = runsOf(withoutMath(source, masked));
  /** @type {Pairs} */
  const pairs = new Map();
  pairByTheRules(runs, pairs);
  pairWhatIsLeft(runs, pairs);
  return pairs;
}

/**
 * The `pairs` within the pair at `start`, for the text between its marks.
 * @param {Pairs} pairs
 * @param {number} start
 * @param {{end: number, size: number}} pair
 * @returns {Pairs}
 */
export function pairsWithin(pairs, start, { end, size }) {
  const from = start + size;
  const inner = [...pairs].filter(([opens, found]) => opens >= from && found.end <= end - size);
  return new Map(inner.map(([opens, found]) => [opens - from, { ...found, end: found.end - from }]));
}

/**
 * Formulas are masked, too, because marks in them do not count.
 * @param {string} source
 * @param {string} masked
 */
function withoutMath(source, masked) {
  const parts = [];
  const places = new Places();
  let end = 0;
  MAY_BE_MATH.lastIndex = 0;
  for (let match = MAY_BE_MATH.exec(source); match; match = MAY_BE_MATH.exec(source)) {
    const { index } = match;
    const isText = source[index] === "$" ? masked[index] === "$" : masked[index] === "+" || masked[index] === "\\";
    const closing = CLOSING[match[0]];
    const mayClose = isText && (!closing || places.next(closing, source, index) >= 0);
    const math = mayClose ? mathAt(source.slice(index), source.slice(index - 1, index)) : undefined;
    if (!math) continue;
    parts.push(masked.slice(end, index), "[", "a".repeat(math.raw.length - 2), "]");
    end = index + math.raw.length;
    MAY_BE_MATH.lastIndex = end;
  }
  return parts.join("") + masked.slice(end);
}

/**
 * @param {string} text
 * @returns {Run[]}
 */
function runsOf(text) {
  return [...text.matchAll(RUN)].map(({ 0: run, index }) => {
    const before = characterBefore(text, index);
    const after = characterAt(text, index + run.length);
    const size = run.length;
    return { mark: run[0], start: index, size, left: size, used: 0, before, after, ...flanking(run[0], before, after) };
  }).filter(({ mark, size, opens, closes }) => mark !== "~" || (size === 2 && (opens || closes)));
}

/**
 * CommonMark's "left-flanking" may open, "right-flanking" may close.
 * @param {string} mark
 * @param {Character} before
 * @param {Character} after
 */
function flanking(mark, { kind: before, text: textBefore }, { kind: after, text: textAfter }) {
  const left = after !== SPACE && (after !== PUNCTUATION || before !== OTHER);
  const right = before !== SPACE && (before !== PUNCTUATION || after !== OTHER);
  /** @param {number} kind */
  const isPunctuation = (kind) => kind === PUNCTUATION || kind === SPACELESS_PUNCTUATION;
  if (mark === "_") {
    return {
      opens: left && (!right || isPunctuation(before) || after === SPACELESS_PUNCTUATION),
      closes: right && (!left || isPunctuation(after) || before === SPACELESS_PUNCTUATION),
    };
  }
  const isRange = mark === "~" && DIGIT.test(textBefore) && DIGIT.test(textAfter);
  return { opens: left && !isRange, closes: right };
}

/** @param {string} character */
function kindOf(character) {
  if (!character || IS_SPACE.test(character)) return SPACE;
  const isPunctuation = IS_PUNCTUATION.test(character) && character !== "~";
  if (IS_SPACELESS.test(character)) return isPunctuation ? SPACELESS_PUNCTUATION : SPACELESS_LETTER;
  return isPunctuation ? PUNCTUATION : OTHER;
}

/**
 * @param {string} text
 * @param {number} index
 * @returns {Character}
 */
function characterAt(text, index) {
  const character = index < text.length ? String.fromCodePoint(text.codePointAt(index) ?? 0) : "";
  return { text: character, kind: kindOf(character) };
}

/**
 * A variation selector has the kind of the character that it varies; selectors of ideographs count as letters.
 * @param {string} text
 * @param {number} index
 * @returns {Character}
 */
function characterBefore(text, index) {
  if (index === 0) return { text: "", kind: SPACE };
  const isPair = index > 1 && /[\uDC00-\uDFFF]/.test(text[index - 1]) && /[\uD800-\uDBFF]/.test(text[index - 2]);
  const start = index - (isPair ? 2 : 1);
  const character = text.slice(start, index);
  if (/^[\u{E0100}-\u{E01EF}]/u.test(character)) return { text: character, kind: SPACELESS_LETTER };
  if (!/[\uFE00-\uFE0E]/.test(character)) return { text: character, kind: kindOf(character) };
  const varied = characterBefore(text.slice(Math.max(0, start - 2), start), Math.min(2, start));
  const isWide = character === "\uFE01" && /[‘’“”]/.test(varied.text);
  return isWide ? { ...varied, kind: SPACELESS_PUNCTUATION } : varied;
}

/**
 * CommonMark's "process emphasis".
 * @param {Run[]} runs
 * @param {Pairs} pairs
 */
function pairByTheRules(runs, pairs) {
  /** @type {Run[]} */
  const openers = [];
  for (const run of runs) {
    while (run.closes && run.left > 0) {
      const at = openers.findLastIndex((opener) => matches(opener, run));
      if (at < 0) break;
      openers.length = at + 1; // Unclosed marks between the two stay text.
      pair(openers[at], run, pairs);
      if (openers[at].left === 0) openers.pop();
    }
    if (run.opens && run.left > 0) openers.push(run);
  }
}

/**
 * @param {Run} opener
 * @param {Run} closer
 */
function matches(opener, closer) {
  if (opener.mark !== closer.mark) return false;
  const mayBeBoth = opener.closes || closer.opens;
  const isOdd = (opener.size + closer.size) % 3 === 0 && (opener.size % 3 !== 0 || closer.size % 3 !== 0);
  return opener.mark === "~" || !mayBeBoth || !isOdd;
}

/**
 * @param {Run} opener
 * @param {Run} closer
 * @param {Pairs} pairs
 */
function pair(opener, closer, pairs) {
  const size = Math.min(opener.left, closer.left) > 1 ? 2 : 1;
  opener.left -= size;
  pairs.set(opener.start + opener.used + opener.left, { end: closer.start + closer.used + size, size });
  closer.used += size;
  closer.left -= size;
}

/**
 * @param {Run[]} runs
 * @param {Pairs} pairs
 */
function pairWhatIsLeft(runs, pairs) {
  const left = runs.filter((run) => run.mark !== "_" && run.size === 2 && run.left === 2);
  if (left.length < 2) return;
  /** @type {Run[]} */
  const openers = [];
  for (const run of left) {
    run.within = enclosing(run.start, pairs);
    const at = run.before.kind === SPACE ? -1 : openers.findLastIndex((opener) =>
      opener.mark === run.mark && opener.within === run.within && (opener.opens || run.closes)
      && (!OPENS.test(run.before.text) || TURNED_QUOTES.includes(opener.after.text + run.before.text)));
    if (at >= 0) {
      pair(openers[at], run, pairs);
      openers.length = at;
    } else if (mayOpen(run)) openers.push(run);
  }
}

/**
 * Between digits, `~~` can close a pair but not open one.
 * @param {Run} run
 */
const mayOpen = ({ mark, opens, after }) => opens || (mark === "*" && after.kind !== SPACE && !ENDS.test(after.text));

/**
 * The start of the innermost pair around `position`, or -1.
 * @param {number} position
 * @param {Pairs} pairs
 */
function enclosing(position, pairs) {
  let innermost = -1;
  for (const [start, { end }] of pairs) if (start < position && end > position) innermost = Math.max(innermost, start);
  return innermost;
}
