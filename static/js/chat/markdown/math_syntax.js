// Math in markdown: `$…$`, `\(…\)`, `$$…$$` and `\[…\]`. Amounts like "$5 and $10" are no math: a
// dollar opens only before a character that is not a space, and closes only after one and not
// before a digit. What is not closed within its paragraph is text. Pure.
import { blockStart } from "./block_start.js";

const LONGEST_TEX = 4_000;
const BLOCK_OPENING = /^ {0,3}(\$\$|\\\[)/;
const BLANK_LINE = /\n[ \t]*\n/;
const LINE_END = /[ \t]*(?:\n|$)/y;
const BLOCK_START = /\n {0,3}(?:\$\$|\\\[)/;
const CLOSING = { $$: "$$", "\\(": "\\)", "\\[": "\\]" };
const DOLLARS = [
  { rule: /^\$\$((?:\\[^]|[^$\\])+)\$\$/, isDisplay: true },
  { rule: /^\$(?![\s$])((?:\\[^]|[^$\\\n]|\n(?![ \t]*\n))*?)(?<![\s\\])\$(?![\d$])/, isDisplay: false },
];
// What begins like an amount and goes on in words is prose between two amounts.
const PROSE = /^\d[^\\]*[A-Za-z]{2,}[ ,;]+[A-Za-z]{2,}/;

const blockMath = {
  name: "mathBlock",
  level: "block",
  start(source) {
    return blockStart(this.lexer, source, BLOCK_START);
  },
  tokenizer(source) {
    const opening = BLOCK_OPENING.exec(source);
    if (!opening) return undefined;
    const from = opening[0].length;
    const blank = source.search(BLANK_LINE);
    const end = (blank < 0 ? source : source.slice(0, blank)).indexOf(CLOSING[opening[1]], from);
    // Until it is closed, or a blank line says that it is none, its lines are no lists or headings.
    if (end < 0) return blank < 0 ? { type: "mathBlock", raw: source, text: null } : undefined;
    LINE_END.lastIndex = end + 2;
    if (end === from || !LINE_END.test(source)) return undefined;
    return { type: "mathBlock", raw: source.slice(0, LINE_END.lastIndex), text: source.slice(from, end).trim() };
  },
};

const inlineMath = {
  name: "math",
  level: "inline",
  start: (source) => {
    const index = source.search(/\$|\\[([]/);
    return index < 0 ? undefined : index;
  },
  tokenizer(source) {
    if (source[0] === "$") return betweenDollars(source.slice(0, LONGEST_TEX));
    if (source[0] === "\\") return betweenBrackets(source.slice(0, LONGEST_TEX));
    return undefined;
  },
};

function betweenDollars(head) {
  for (const { rule, isDisplay } of DOLLARS) {
    const match = rule.exec(head);
    if (!match || !match[1].trim()) continue;
    if (!isDisplay && PROSE.test(match[1])) return undefined;
    return { type: "math", raw: match[0], text: match[1].trim(), isDisplay };
  }
  return undefined;
}

/** Every start without an end costs a look through `head`: a plain one, no pattern. */
function betweenBrackets(head) {
  const closing = CLOSING[head.slice(0, 2)];
  const end = closing ? head.indexOf(closing, 2) : -1;
  const tex = head.slice(2, Math.max(2, end)).trim();
  return tex ? { type: "math", raw: head.slice(0, end + 2), text: tex, isDisplay: closing === CLOSING["\\["] } : undefined;
}

export const mathExtensions = [blockMath, inlineMath];

const DEFINES = /\\(?:[egx]?def|(?:re)?newcommand|providecommand|(?:future)?let)(?![A-Za-z])/;
const LONGEST_DEFINING_TEX = 300;
const MOST_EXPANSIONS = 300;
const MOST_OWN_EXPANSIONS = 50;

/**
 * How many macros KaTeX may expand in `tex`; 0: it is not to be drawn. Those of KaTeX are short. One
 * that the text defines is as long as it likes, and with a parameter may double what it is given.
 */
export function expansionsFor(tex) {
  if (tex.length > LONGEST_TEX) return 0;
  if (!DEFINES.test(tex)) return MOST_EXPANSIONS;
  return tex.length > LONGEST_DEFINING_TEX || tex.includes("#") ? 0 : MOST_OWN_EXPANSIONS;
}
