// Texts that somebody makes up to keep the page busy: each construct of the grammar repeated, nested,
// unclosed and interleaved with others. Also read by tests/browser/test_hostile_pages.py. Pure.

/** What each construct begins with, holds and ends with; `#` in a repeated one is its number. */
const CONSTRUCTS = {
  emphasis: ["*", "a", "*"],
  strong: ["**", "a", "** "],
  underline: ["_", "a", "_ "],
  "both emphases": ["*_", "a", "_*"],
  strike: ["~~", "a", "~~ "],
  "marks in turn": ["*a _b ", "", ""],
  "marks with quotes": ["**“", "a", "”**b"],
  "inline code": ["`", "a", "` "],
  "long inline code": ["```` ``", "a", "`` ```` "],
  "runs of backticks": ["`a``b```c", "", ""],
  link: ["[", "a", "](https://e.com/#) "],
  "link in angles": ["[", "a", "](<https://e.com> \"t\") "],
  image: ["![", "a", "](https://e.com) "],
  "named link": ["[", "a", "][r] "],
  brackets: ["[", "", "]"],
  parentheses: ["[a](", "", ")"],
  autolink: ["<https://e.com/", "a", "> "],
  address: ["https://e.com/", "a", " "],
  "address with brackets": ["https://e.com/(", "a", ")"],
  mail: ["a@b.co", "", " "],
  "mail without end": ["a.b@", "", ""],
  definition: ["[r#]: https://e.com/#", "", "\n"],
  "definition over lines": ["[r#]:\nhttps://e.com\n'", "a", "'\n"],
  "definition and use": ["[r#]: https://e.com/#\n\n[a][r#]\n\n", "", ""],
  footnote: ["[^#]: ", "a", "\n"],
  "footnote and reference": ["a[^#]\n\n[^#]: b\n\n", "", ""],
  references: ["[^#]", "", " "],
  "one reference": ["[^1] ", "", ""],
  item: ["- ", "a", "\n"],
  "item in item": ["  - ", "a", "\n"],
  "loose item": ["- ", "a", "\n\n"],
  "numbered item": ["1. ", "a", "\n"],
  "empty item": ["-\n", "", ""],
  "item with lines": ["- a\n  b\n\n  c\n", "", ""],
  task: ["- [ ] ", "a", "\n"],
  "items in turn": ["- a\n* b\n+ c\n", "", ""],
  quote: ["> ", "a", "\n"],
  "lazy quote": ["> a\nb\n", "", ""],
  "quote with list": ["> - ", "a", "\n"],
  "quotes apart": ["> a\n\n", "", ""],
  "list with quote": ["- > ", "a", "\n"],
  table: ["|a|b|\n|-|-|\n|1|2|\n\n", "", ""],
  row: ["|a|b|\n", "", ""],
  "dashes of a table": ["|-", "", "|\n"],
  bars: ["|", "a", ""],
  fence: ["```js\n", "a", "\n```\n"],
  "tilde fence": ["~~~\n", "a\n", "~~~\n"],
  "fence in list": ["- ```\n  a\n  ```\n", "", ""],
  "indented code": ["    a\n\n", "", ""],
  heading: ["# ", "a", "\n"],
  "underlined heading": ["a\n", "", "===\n"],
  rule: ["***\n", "", ""],
  "HTML block": ["<div>\n", "a", "\n</div>\n\n"],
  "HTML tag": ["<b>", "a", "</b>"],
  "HTML attributes": ["<a b='", "c", "' d=e>"],
  comment: ["<!-- ", "a", " -->"],
  "comment in a line": ["a <!-- ", "b", " -->\n"],
  "processing instruction": ["<? ", "a", " ?>"],
  "character data": ["<![CDATA[", "a", "]]>"],
  script: ["<script>\n", "a", "\n</script>\n"],
  "less than": ["<", "a", ""],
  entity: ["&amp;", "", ""],
  "entity without end": ["&#x", "", ""],
  escape: ["\\*", "", ""],
  "inline math": ["$", "a", "$ "],
  "math in parentheses": ["\\(", "a", "\\) "],
  "math in brackets": ["\\[", "a", "\\] "],
  "display math": ["$$\n", "a", "\n$$\n\n"],
  "display math in a line": ["$$", "a", "$$ "],
  environment: ["\\begin{align}\n", "a", "\n\\end{align}\n\n"],
  matrix: ["\\begin{matrix}", "a", "\\end{matrix} "],
  dollars: ["$5 ", "", ""],
  "line break": ["a  \n", "", ""],
  backslashes: ["a\\\n", "", ""],
  "blank line": ["\n", "", ""],
  "line of blanks": ["   \n", "", ""],
  line: ["a\n", "", ""],
  word: ["a ", "", ""],
  letters: ["a", "", ""],
  "wide letters": ["字", "", ""],
  "letters from the right": ["א ב ", "", ""],
  marks: ["a\u0301\u0302\u0303", "", ""],
  emoji: ["👩‍👩‍👧 ", "", ""],
  hidden: ["a\u200b", "", ""],
  "bidi overrides": ["\u202e", "a", "\u202c"],
  controls: ["\u0001", "", ""],
  tabs: ["\t", "", ""],
  "nul and surrogates": ["\0\ud800", "", ""],
};

const FENCED = ["hidden", "bidi overrides", "letters", "line", "blank line", "emoji", "controls"];

const times = (count, piece) => {
  if (!piece.includes("#")) return piece.repeat(count);
  return Array.from({ length: count }, (_, index) => piece.replaceAll("#", String(index))).join("");
};
const filling = (chars, piece) => times(Math.ceil(chars / Math.max(1, piece.length)), piece);

function* ofConstruct(name, [open, middle, close], chars) {
  yield [`${name}, repeated`, () => filling(chars, open + middle + close)];
  yield [`${name}, a paragraph each`, () => filling(chars, `${open}${middle}${close}\n\n`)];
  if (open.length > 1 || close) yield [`${name}, unclosed`, () => filling(chars, open)];
  if (!close) return;
  yield [`${name}, only closed`, () => filling(chars, close)];
  const count = Math.ceil(chars / (open.length + close.length));
  yield [`${name}, nested`, () => times(count, open) + middle + times(count, close)];
  yield [`${name}, around a long text`, () => open + "word ".repeat(chars / 5) + close];
  yield [`${name}, opened before a long text`, () => `${open + middle}\n${"some words here\n\n".repeat(chars / 17)}`];
}

const WITHIN = {
  "in a quote": ["> ", "> "],
  "in a list": ["- ", "  "],
  "in a footnote": ["[^1]: ", "    "],
  "in a heading": ["# ", null],
  "in a cell": ["|x|y|\n|-|-|\n|", null],
  "in code": ["```js\n", ""],
  "in code in a list": ["- ```js\n  ", "  "],
};

function* within(name, piece, chars) {
  for (const [place, [first, more]] of Object.entries(WITHIN)) {
    yield [`${name}, ${place}`, () => first + filling(chars, piece).replaceAll("\n", more === null ? " " : `\n${more}`)];
  }
}

/** [name, a function that makes a text of about `chars` characters] of every shape. */
export function* shapes(chars) {
  const entries = Object.entries(CONSTRUCTS);
  for (const [name, parts] of entries) yield* ofConstruct(name, parts, chars);
  for (const [name, parts] of entries) yield* within(name, parts.join(""), chars);
  for (const [index, [name, [open, middle, close]]] of entries.entries()) {
    for (const step of [1, 7, 19]) {
      const [other, [otherOpen, otherMiddle, otherClose]] = entries[(index + step) % entries.length];
      yield [`${name} and ${other}, in turn`, () => filling(chars, open + middle + close + otherOpen + otherMiddle + otherClose)];
      yield [`${name} across ${other}`, () => filling(chars, open + otherOpen + middle + close + otherClose)];
    }
  }
  yield* known(chars);
}

/** Those that held the page once, and their like. */
function* known(chars) {
  const columns = "|a".repeat(100);
  yield ["a table of a hundred columns", () => `${columns}|\n${"|-".repeat(100)}|\n${filling(chars, "|\n")}`];
  yield ["a table of a hundred columns, filled", () => `${columns}|\n${"|-".repeat(100)}|\n${filling(chars, `${columns}|\n`)}`];
  yield ["uses, then definitions", () => filling(chars / 2, "[a][r#]\n\n") + filling(chars / 2, "[r#]: https://e.com/#\n")];
  yield ["uses, then footnotes", () => filling(chars / 2, "a[^#]\n\n") + filling(chars / 2, "[^#]: b\n")];
  yield ["accents on accents", () => `$$\n${"\\hat{".repeat(chars / 6)}x${"}".repeat(chars / 6)}\n$$`];
  yield ["groups in groups", () => `$${"{".repeat(1_900)}x${"}".repeat(1_900)}$ `.repeat(Math.ceil(chars / 3_803))];
  yield ["fences of many lengths", () => Array.from({ length: Math.sqrt(chars) }, (_, index) => `${"`".repeat(index + 3)}\n`).join("")];
  yield ["backticks of many lengths", () => Array.from({ length: Math.sqrt(2 * chars) }, (_, index) => "`".repeat(index + 1)).join(" ")];
  for (const name of FENCED) {
    const piece = CONSTRUCTS[name].join("");
    yield [`${name}, lines of code`, () => `\`\`\`js\n${filling(chars, `${piece}\n`)}`];
    yield [`${name}, one line of code`, () => `\`\`\`js\n${filling(chars, piece.replaceAll("\n", ""))}`];
  }
}
