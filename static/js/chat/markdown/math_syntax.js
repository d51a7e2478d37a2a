// Math in markdown: `$…$`, `\(…\)`, `$$…$$` and `\[…\]`. Amounts like "$5 and $10" are no math: a
// dollar opens only before a character that is not a space, and closes only after one and not
// before a digit. What is not closed within its paragraph is text. Pure.

const LONGEST_TEX = 4_000;
const BLOCK = /^ {0,3}(?:\$\$((?:(?!\$\$|\n[ \t]*\n)[^])+)\$\$|\\\[((?:(?!\\\]|\n[ \t]*\n)[^])+)\\\])[ \t]*(?:\n|$)/;
const UNCLOSED_BLOCK = /^ {0,3}(?:\$\$(?:(?!\$\$|\n[ \t]*\n)[^])*|\\\[(?:(?!\\\]|\n[ \t]*\n)[^])*)$/;
const BLOCK_START = /\n {0,3}(?:\$\$|\\\[)/;
const INLINE = [
  { rule: /^\$\$((?:\\[^]|[^$\\])+)\$\$/, isDisplay: true },
  { rule: /^\\\[((?:(?!\\\])[^])+)\\\]/, isDisplay: true },
  { rule: /^\\\(((?:(?!\\\))[^])+)\\\)/, isDisplay: false },
  { rule: /^\$(?![\s$])((?:\\[^]|[^$\\\n]|\n(?![ \t]*\n))*?)(?<![\s\\])\$(?![\d$])/, isDisplay: false },
];
// What begins like an amount and goes on in words is prose between two amounts.
const PROSE = /^\d[^\\]*[A-Za-z]{2,}[ ,;]+[A-Za-z]{2,}/;

const blockMath = {
  name: "mathBlock",
  level: "block",
  start: (source) => {
    const index = source.search(BLOCK_START);
    return index < 0 ? undefined : index + 1;
  },
  tokenizer(source) {
    const match = BLOCK.exec(source);
    if (match) return { type: "mathBlock", raw: match[0], text: (match[1] ?? match[2]).trim() };
    // Until it is closed, or a blank line says that it is none, its lines are no lists or headings.
    const unclosed = UNCLOSED_BLOCK.exec(source);
    return unclosed ? { type: "mathBlock", raw: unclosed[0], text: null } : undefined;
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
    if (source[0] !== "$" && source[0] !== "\\") return undefined;
    const head = source.slice(0, LONGEST_TEX);
    for (const { rule, isDisplay } of INLINE) {
      const match = rule.exec(head);
      if (!match || !match[1].trim()) continue;
      if (!isDisplay && source[0] === "$" && PROSE.test(match[1])) return undefined;
      return { type: "math", raw: match[0], text: match[1].trim(), isDisplay };
    }
    return undefined;
  },
};

export const mathExtensions = [blockMath, inlineMath];
