// Texts made up to keep the page busy: each construct of the grammar repeated, nested, unclosed and
// interleaved with others. Also used by tests/browser/reading/test_hostile_texts.py. Pure.

/** [opening, content, closing] of each construct, or all of it; `#` becomes its number. */
const CONSTRUCTS = Object.entries({
  emphasis: ["*", "a", "*"],
  strong: ["**", "a", "** "],
  underline: ["_", "a", "_ "],
  "both emphases": ["*_", "a", "_*"],
  strike: ["~~", "a", "~~ "],
  "marks in turn": "*a _b ",
  "marks with quotes": ["**“", "a", "”**b"],
  "inline code": ["`", "a", "` "],
  "long inline code": ["```` ``", "a", "`` ```` "],
  "runs of backticks": "`a``b```c",
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
  "mail without end": "a.b@",
  definition: ["[r#]: https://e.com/#", "", "\n"],
  "definition over lines": ["[r#]:\nhttps://e.com\n'", "a", "'\n"],
  "definition and use": "[r#]: https://e.com/#\n\n[a][r#]\n\n",
  footnote: ["[^#]: ", "a", "\n"],
  "footnote and reference": "a[^#]\n\n[^#]: b\n\n",
  references: ["[^#]", "", " "],
  "one reference": "[^1] ",
  item: ["- ", "a", "\n"],
  "item in item": ["  - ", "a", "\n"],
  "loose item": ["- ", "a", "\n\n"],
  "numbered item": ["1. ", "a", "\n"],
  "empty item": "-\n",
  "item with lines": "- a\n  b\n\n  c\n",
  task: ["- [ ] ", "a", "\n"],
  "items in turn": "- a\n* b\n+ c\n",
  quote: ["> ", "a", "\n"],
  "lazy quote": "> a\nb\n",
  "quote with list": ["> - ", "a", "\n"],
  "quotes apart": "> a\n\n",
  "list with quote": ["- > ", "a", "\n"],
  table: "|a|b|\n|-|-|\n|1|2|\n\n",
  row: "|a|b|\n",
  "dashes of a table": ["|-", "", "|\n"],
  bars: ["|", "a"],
  fence: ["```js\n", "a", "\n```\n"],
  "tilde fence": ["~~~\n", "a\n", "~~~\n"],
  "fence in list": "- ```\n  a\n  ```\n",
  "indented code": "    a\n\n",
  heading: ["# ", "a", "\n"],
  "underlined heading": ["a\n", "", "===\n"],
  rule: "***\n",
  "HTML block": ["<div>\n", "a", "\n</div>\n\n"],
  "HTML tag": ["<b>", "a", "</b>"],
  "HTML attributes": ["<a b='", "c", "' d=e>"],
  comment: ["<!-- ", "a", " -->"],
  "comment in a line": ["a <!-- ", "b", " -->\n"],
  "processing instruction": ["<? ", "a", " ?>"],
  "character data": ["<![CDATA[", "a", "]]>"],
  script: ["<script>\n", "a", "\n</script>\n"],
  "less than": ["<", "a"],
  entity: "&amp;",
  "entity without end": "&#x",
  escape: "\\*",
  "inline math": ["$", "a", "$ "],
  "math in parentheses": ["\\(", "a", "\\) "],
  "math in brackets": ["\\[", "a", "\\] "],
  "display math": ["$$\n", "a", "\n$$\n\n"],
  "display math in a line": ["$$", "a", "$$ "],
  environment: ["\\begin{align}\n", "a", "\n\\end{align}\n\n"],
  matrix: ["\\begin{matrix}", "a", "\\end{matrix} "],
  dollars: "$5 ",
  "line break": "a  \n",
  backslashes: "a\\\n",
  "blank line": "\n",
  "line of blanks": "   \n",
  line: "a\n",
  word: "a ",
  letters: "a",
  "wide letters": "字",
  "letters from the right": "א ב ",
  marks: "a\u0301\u0302\u0303",
  emoji: "👩‍👩‍👧 ",
  hidden: "a\u200b",
  "bidi overrides": ["\u202e", "a", "\u202c"],
  controls: "\u0001",
  tabs: "\t",
  "nul and surrogates": "\0\ud800",
}).map(([name, parts]) => {
  const [open, middle = "", close = ""] = [parts].flat();
  return { name, open, middle, close, whole: open + middle + close };
});

/** Containers: [the start of the first line, of each further line, or null for a single line]. */
const CONTAINERS = {
  "in a quote": ["> ", "> "],
  "in a list": ["- ", "  "],
  "in a footnote": ["[^1]: ", "    "],
  "in a heading": ["# ", null],
  "in a cell": ["|x|y|\n|-|-|\n|", null],
  "in code": ["```js\n", ""],
  "in code in a list": ["- ```js\n  ", "  "],
};

const IN_CODE = ["hidden", "bidi overrides", "letters", "line", "blank line", "emoji", "controls"];

const counted = (count, make) => Array.from({ length: count }, (_, index) => make(index));
const times = (count, piece) => {
  if (!piece.includes("#")) return piece.repeat(count);
  return counted(count, (index) => piece.replaceAll("#", String(index))).join("");
};
const fill = (chars, piece) => times(Math.ceil(chars / Math.max(1, piece.length)), piece);

function* alone({ name, open, middle, close, whole }, chars) {
  yield [`${name}, repeated`, () => fill(chars, whole)];
  yield [`${name}, a paragraph each`, () => fill(chars, `${whole}\n\n`)];
  if (open.length > 1 || close) yield [`${name}, unclosed`, () => fill(chars, open)];
  if (!close) return;
  const count = Math.ceil(chars / (open.length + close.length));
  const paragraphs = () => "some words here\n\n".repeat(chars / 17);
  yield [`${name}, only closed`, () => fill(chars, close)];
  yield [`${name}, nested`, () => times(count, open) + middle + times(count, close)];
  yield [`${name}, around a long text`, () => open + "word ".repeat(chars / 5) + close];
  yield [`${name}, opened before a long text`, () => `${open}${middle}\n${paragraphs()}`];
}

function* contained({ name, whole }, chars) {
  for (const [place, [first, next]] of Object.entries(CONTAINERS)) {
    const newline = next === null ? " " : `\n${next}`;
    yield [`${name}, ${place}`, () => first + fill(chars, whole).replaceAll("\n", newline)];
  }
}

function* paired(one, other, chars) {
  const across = one.open + other.open + one.middle + one.close + other.close;
  yield [`${one.name} and ${other.name}, in turn`, () => fill(chars, one.whole + other.whole)];
  yield [`${one.name} across ${other.name}`, () => fill(chars, across)];
}

/** Shapes that once blocked the page, and similar ones. */
function* known(chars) {
  const columns = "|a".repeat(100);
  const table = `${columns}|\n${"|-".repeat(100)}|\n`;
  const half = (piece) => fill(chars / 2, piece);
  const nested = (count, open, close) => `${open.repeat(count)}x${close.repeat(count)}`;
  const groups = `$${nested(1_900, "{", "}")}$ `;
  const backticks = (count, fewest) => counted(count, (index) => "`".repeat(index + fewest));
  yield ["a table of a hundred columns", () => table + fill(chars, "|\n")];
  yield ["a table of a hundred columns, filled", () => table + fill(chars, `${columns}|\n`)];
  yield ["uses, then definitions", () => half("[a][r#]\n\n") + half("[r#]: https://e.com/#\n")];
  yield ["uses, then footnotes", () => half("a[^#]\n\n") + half("[^#]: b\n")];
  yield ["accents on accents", () => `$$\n${nested(chars / 6, "\\hat{", "}")}\n$$`];
  yield ["groups in groups", () => groups.repeat(Math.ceil(chars / groups.length))];
  yield ["fences of many lengths", () => `${backticks(Math.sqrt(chars), 3).join("\n")}\n`];
  yield ["backticks of many lengths", () => backticks(Math.sqrt(2 * chars), 1).join(" ")];
  for (const { name, whole } of CONSTRUCTS.filter((one) => IN_CODE.includes(one.name))) {
    const line = whole.replaceAll("\n", "");
    yield [`${name}, lines of code`, () => `\`\`\`js\n${fill(chars, `${whole}\n`)}`];
    yield [`${name}, one line of code`, () => `\`\`\`js\n${fill(chars, line)}`];
  }
}

/** Yields [name, a function that makes a text of about `chars` characters] of each shape. */
export function* shapes(chars) {
  for (const construct of CONSTRUCTS) yield* alone(construct, chars);
  for (const construct of CONSTRUCTS) yield* contained(construct, chars);
  for (const [index, construct] of CONSTRUCTS.entries()) {
    for (const step of [1, 7, 19]) {
      yield* paired(construct, CONSTRUCTS[(index + step) % CONSTRUCTS.length], chars);
    }
  }
  yield* known(chars);
}
