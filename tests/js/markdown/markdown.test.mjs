import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, htmlOf } from "../../../static/js/chat/markdown/html.js";
import { expansionsFor } from "../../../static/js/chat/markdown/syntax/math_syntax.js";
import { Notes } from "../../../static/js/chat/markdown/notes.js";
import { BlockStream } from "../../../static/js/chat/markdown/stream.js";
import katex from "../../../static/vendor/katex-0.19.1/katex.js";
import { randomNumbers } from "../random_numbers.mjs";
import { streamed, whole } from "./streamed.mjs";

const LINES = [
  "# T\n", "para *x* `c` $a^2$ costs $5 and $10.\n", "\n", "\n\n", "1. a\n", "2. b\n", "\n   in\n", "- [ ] t\n", "  - n\n", "```js\n",
  "x()\n", "```\n", "| a | b |\n", "| - | -: |\n", "| 1 | 2 |\n", "> q\n", "$$\na\n+ b\n$$\n", "[^1]: note\n", "ref[^1] [l][r]\n",
  "\\[ x \\]\n", "~~~\n", "    indented\n", "---\n", "===\n", "<div>\n", "word ", "word. ", "[r]: http://x.y\n", "***\n", "- ", "&amp; <b>\n",
];
const BANNER = `/${"*".repeat(60)}/\n`;
const longTable = (headChars, rows) => `| ${"a".repeat(headChars)} | b |\n| - | - |\n${"| 1 | 2 |\n".repeat(rows)}`;
// Texts that stay plain, texts that cannot be split, and code that looks like either.
const HARD = [
  BANNER, `  ${BANNER}`, "```c\n", "```\n", "- a\n", "1. b\n", "  ```c\n", "  ```\n", "   ~~~\n", "> ```\n", `> ${BANNER}`, "\n", "\n\n", "int a;\n", "Text **after**\n",
  "_".repeat(50), "`".repeat(50), "[".repeat(50), "- ".repeat(30), "> ".repeat(30), "# h\n", "$$\n", "\\[ x\n", longTable(1_900, 300), longTable(4_100, 3), `|a|b|\n|${"-".repeat(4_100)}|-|\n|1|2|\n`,
  `# ${"*a_".repeat(2_000)}\n`, `> ${"word ".repeat(2_500)}\n`, "> said\n".repeat(1_500), `- ${"a\n  ".repeat(3_000)}\n`, `|a|b|\n|-|-|\n|${"x".repeat(17_000)}|y|\n`,
];
const LONG = {
  list: Array.from({ length: 600 }, (_, index) => `${index + 1}. item number ${index}\n`).join(""),
  table: "| a | b |\n| :- | -: |\n" + Array.from({ length: 600 }, (_, index) => `| ${index} | cell ${index} |\n`).join(""),
  paragraph: "A sentence with **bold words** in it, and `code`. ".repeat(400),
  words: "word ".repeat(4_000),
  "one word": "x".repeat(30_000),
  code: `\`\`\`js\n${"let a = 1;\n".repeat(1_500)}`,
};

const bare = (html) => html.replace(/\s+/g, "");

test("however the text comes in, the blocks are the same", () => {
  const random = randomNumbers(7);
  for (let round = 0; round < 1_500; round++) {
    const count = 1 + Math.floor(random() * 14);
    const source = Array.from({ length: count }, () => LINES[Math.floor(random() * LINES.length)]).join("");
    const most = 1 + Math.floor(random() * 30);
    assert.deepEqual(streamed(source, () => 1 + Math.floor(random() * most)), whole(source), JSON.stringify(source));
  }
});

test("however the text comes in, so are those with what is left plain and what cannot be cut", () => {
  const random = randomNumbers(23);
  for (let round = 0; round < 100; round++) {
    const count = 1 + Math.floor(random() * 9);
    const source = Array.from({ length: count }, () => HARD[Math.floor(random() ** 2 * HARD.length)]).join("");
    const most = 1 + Math.floor(random() * 20 + source.length / 20);
    assert.deepEqual(streamed(source, () => 1 + Math.floor(random() * most)), whole(source), JSON.stringify(source));
  }
});

test("a text without long blocks is what one pass over all of it gives", () => {
  const random = randomNumbers(11);
  for (let round = 0; round < 500; round++) {
    const source = Array.from({ length: 8 }, () => LINES[Math.floor(random() * LINES.length)]).join("");
    const once = blocksOf(source).filter(({ type }) => type !== "space" && type !== "def").map((token) => htmlOf(token));
    const parts = whole(source).filter(({ html }) => html !== "");
    assert.equal(parts.length, once.length, JSON.stringify(source));
    parts.forEach((part, index) => {
      if (part.html !== undefined && !part.html.includes("note")) assert.equal(bare(part.html), bare(once[index]), JSON.stringify(source));
    });
  }
});

for (const [name, source] of Object.entries(LONG)) {
  test(`a long ${name} is cut in the same places, and nothing of it is lost`, () => {
    const random = randomNumbers(3);
    const blocks = whole(source);
    assert.deepEqual(streamed(source, () => 1 + Math.floor(random() * 90)), blocks);
    const words = (text) => text.replace(/<[^>]*>/g, " ").replace(/&#\d+;|[\s\u2060|*`:.-]/g, "");
    const shown = blocks.map(({ html, code, carried }) => (carried === "table" ? html.replace(/<thead>[^]*<\/thead>/, "") : html) ?? code).join("");
    if (name === "list") assert.deepEqual(shown.match(/<li>item number \d+/g).length, 600);
    else if (name !== "code") assert.equal(words(shown), words(source));
    else assert.equal(blocks[0].code, source.slice(6));
    if (name === "list") assert.ok(blocks.slice(1).every(({ html }) => /^<ol start="\d+">\n<li>item number (\d+)/.exec(html)[1] === String(/start="(\d+)"/.exec(html)[1] - 1)));
  });
}

test("what is read again for a token does not grow with the text", () => {
  for (const source of Object.values(LONG)) {
    const stream = new BlockStream();
    for (let end = 0; end < source.length; end += 200) {
      do stream.step(source.slice(0, end), false);
      while (stream.isBehind);
      assert.ok(stream.open.reduce((sum, { raw }) => sum + raw.length, 0) < 13_000);
    }
  }
});

test("what cannot be cut is read again only as it has grown by a quarter, until it may have ended", () => {
  const source = `${"> said again\n".repeat(900)}\nafter\n`;
  const stream = new BlockStream();
  let readings = 0;
  for (let end = 50; end < source.length; end += 50) {
    const before = stream.open;
    stream.step(source.slice(0, end), false);
    if (end > 7_100 && stream.open !== before) readings += 1;
    assert.equal(stream.open.map(({ raw }) => raw).join("") + stream.since, source.slice(0, end));
  }
  assert.ok(readings > 1 && readings < 6, String(readings));
  assert.equal(stream.step(source, false)[0].raw.trim(), source.slice(0, -"\nafter\n".length).trim());
});

test("a table whose head is long is read in a few steps, and is whole", () => {
  for (const source of [`${longTable(4_100, 2)}\nafter\n`, `|a|b|\n|${"-".repeat(4_100)}|-|\n|1|2|\n|3|4|\n`, longTable(3_900, 400), longTable(11_000, 2)]) {
    const stream = new BlockStream();
    let cells = 0;
    let steps = 0;
    do {
      for (const { token } of stream.step(source, true)) cells += htmlOf(token).split("<td>").length - 1;
      steps += 1;
    } while (stream.isBehind && steps < 100);
    assert.ok(steps < 10, String(steps));
    assert.equal(cells, 2 * (source.split("\n|").length - 2));
  }
});

test("to look for what ends a paragraph takes no look through all the rest from each line of an item", (t) => {
  const source = `- ${"a\n  ".repeat(2_000)}`;
  const { search } = String.prototype;
  t.after(() => { String.prototype.search = search; });
  let chars = 0;
  String.prototype.search = function counting(pattern) {
    chars += this.length;
    return search.call(this, pattern);
  };
  blocksOf(source);
  assert.ok(chars < 2_000 * 2_000, String(chars));
});

test("in code nothing is too much to be read, wherever the code is", () => {
  const [code, , after] = blocksOf(`\`\`\`c\n${BANNER}int a;\n\nint b;\n\`\`\`\n\nText **after**\n`);
  assert.equal(code.text, `${BANNER}int a;\n\nint b;`);
  assert.equal(bare(htmlOf(after)), "<p>Text<strong>after</strong></p>");
  const item = blocksOf(`- so:\n  \`\`\`c\n  ${BANNER}  int a;\n\n  int b;\n  \`\`\`\n- **next**\n`)[0];
  assert.equal(item.items[0].tokens.find(({ type }) => type === "code").text, `${BANNER}int a;\n\nint b;`);
  assert.ok(htmlOf(item).includes("<strong>next</strong>"));
});

test("what is too tangled, too long or too deep to be formatted stays as it was written, and nothing else does", () => {
  const plain = (text) => `<span class="md-raw">${text}</span>`;
  const html = (source) => whole(source).map((block) => bare(block.html)).join("");
  for (const tangled of ["*a_".repeat(2_000), "a*b".repeat(1_100), "[[]".repeat(800), "x".repeat(11_000)]) {
    assert.equal(html(`# ${tangled}\n\n*after*`), bare(`<h1>${plain(tangled)}</h1><p><em>after</em></p>`));
    assert.equal(html(`> ${tangled}\n\n*after*`), bare(`<blockquote><p>${plain(tangled)}</p></blockquote><p><em>after</em></p>`));
    assert.equal(html(`- *before*\n- ${tangled}\n\nafter`), bare(`<ul><li><em>before</em></li><li>${plain(tangled)}</li></ul><p>after</p>`));
  }
  assert.equal(html(`${"- ".repeat(24)}x\n\n*after*`), bare(`<p>${"- ".repeat(24)}x</p><p><em>after</em></p>`));
  const nested = html(Array.from({ length: 300 }, (_, depth) => `${"  ".repeat(depth)}- a\n`).join(""));
  assert.ok(nested.split("<ul>").length <= 25 && nested.includes("md-raw"));
  assert.equal(html(`|${"a|".repeat(120)}\n|${"-|".repeat(120)}\n|1|`).includes("<table"), false);
  assert.equal(html("a\n\n" + "*".repeat(60)), "<p>a</p><hr>");
});

test("a code block is followed line by line", () => {
  const stream = new BlockStream();
  assert.deepEqual(stream.step("```py", false), []);
  assert.deepEqual(stream.step("```python title\nco", false), [{ type: "code", language: "python" }]);
  assert.deepEqual(stream.step("```python title\ncode\n``", false), [{ type: "lines", text: "code\n" }]);
  assert.equal(stream.openLine, "");
  stream.step("```python title\ncode\n``x", false);
  assert.equal(stream.openLine, "``x");
  assert.deepEqual(stream.step("```python title\ncode\n``x\n```\n", false), [{ type: "lines", text: "``x\n" }, { type: "codeEnd" }]);
});

const mathOf = (source) => [...whole(source).map(({ html }) => html).join("").matchAll(/class="math( math-display)?">([^<]*)</g)].map((match) => [Boolean(match[1]), match[2]]);

test("math is found between its marks, amounts are not", () => {
  assert.deepEqual(mathOf("so $a^2$, \\(b\\) and $$c$$ or \\[d\\]"), [[false, "a^2"], [false, "b"], [true, "c"], [true, "d"]]);
  assert.deepEqual(mathOf("$$\na\n+ b\n- c\n$$\n"), [[true, "a\n+ b\n- c"]]);
  assert.deepEqual(mathOf("text\n\\[\n# x\n\\]\nmore"), [[true, "# x"]]);
  for (const text of ["$5 and $10", "from $5 to $10.", "$5-$10", "US$5, A$7", "it costs $20 (about $22)", "`$a$`", "\\$a$", "$ a $", "$5 million here, and 3 in US$", "$$ never closed", "```\n$a$\n```"]) {
    assert.deepEqual(mathOf(text), [], text);
  }
});

test("TeX that defines macros is drawn while it is short and doubles nothing", () => {
  const drawn = (tex) => katex.renderToString(tex, { maxExpand: expansionsFor(tex), throwOnError: true, strict: "ignore" });
  assert.equal(expansionsFor(`\\def\\a{${"x".repeat(180)}}${"\\a".repeat(95)}`), 0);
  assert.equal(expansionsFor("\\def\\a#1{#1#1#1#1#1#1#1#1}\\def\\b#1{\\a{#1#1#1#1#1#1#1#1}}\\b{x}"), 0);
  for (const define of ["\\gdef\\a", "\\edef\\a", "\\xdef\\a", "\\newcommand{\\a}", "\\renewcommand\\a", "\\providecommand\\a", "\\global\\let\\a", "\\futurelet\\a"]) {
    assert.equal(expansionsFor(define + "x".repeat(300)), 0, define);
  }
  assert.equal(expansionsFor("x".repeat(4_001)), 0);
  assert.ok(drawn("\\newcommand{\\arrow}{\\Rightarrow} x \\arrow y").includes("⇒"));
  assert.throws(() => drawn(`\\def\\a{x}${"\\a".repeat(60)}`), /Too many expansions/);
  assert.ok(drawn("a \\, b \\dots \\implies \\left( x \\right)".repeat(12)).includes("⟹"));
});

test("footnotes are numbered as the text refers to them, and are no notes without a definition", () => {
  const notes = new Notes();
  notes.define("b");
  assert.equal(notes.refer("b"), 1);
  assert.equal(notes.refer("7"), 2);
  assert.equal(notes.refer("^a-z"), null);
  notes.settle();
  assert.equal(notes.refer("7"), null);
  assert.equal(notes.refer("b"), 1);
  assert.equal(notes.numberOf("b"), 1);
});

test("links lead to other sites or nowhere, and say where", () => {
  const html = htmlOf(blocksOf("[a](https://x.example/p) [b](javascript:alert) [c](tel:1) [d](//e.example) ![i](https://y.example/i.png) <me@x.example>")[0]);
  assert.deepEqual([...html.matchAll(/href="([^"]+)" title="([^"]+)"/g)].map(([, ...found]) => found), [
    ["https://x.example/p", "x.example"], ["https://y.example/i.png", "y.example"], ["mailto:me@x.example", "me@x.example"]]);
  assert.ok(!html.includes("<img"));
});

test("the hint of a link begins with where it leads, whatever the text says of it", () => {
  const hint = (source) => /title="([^"]*)"/.exec(htmlOf(blocksOf(source)[0]))[1];
  assert.equal(hint('[a](https://x.example "good")'), "x.example – good");
  assert.equal(hint('[a](https://x.example "\u202Emoc.doog\u2066")'), "x.example – moc.doog");
  assert.equal(hint(`[a](https://x.example "${"good.example ".repeat(50)}")`), `x.example – ${"good.example ".repeat(50).slice(0, 80)}…`);
  assert.equal(hint(`[a](https://x.example "${"\u{1F600}".repeat(90)}")`), `x.example – ${"\u{1F600}".repeat(80)}…`);
  assert.equal(hint('[a](https://x.example "\u202E")'), "x.example");
  assert.equal(hint("[a](mailto:moc\u202Ex@y.example)"), "moc x@y.example");
});

for (const [name, source] of Object.entries({
  "a megabyte on one line": "word ".repeat(200_000),
  "deep quotes": `${"> ".repeat(5_000)}x`,
  "deep lists": `${"- ".repeat(5_000)}x`,
  "brackets that never close": "[".repeat(50_000),
  "links that never close": "[a](".repeat(20_000),
  "stars": "*a **b ".repeat(20_000),
  "html that never closes": "<a ".repeat(30_000),
  "backticks": "`a ``b ".repeat(20_000),
  "dollars": "$a ".repeat(30_000),
  "math that never closes": "\\[a ".repeat(20_000),
  "footnotes": "[^a]: b\n".repeat(5_000),
  "math that never opens a line": `${"\\[a\n".repeat(5_000)}\n\nb`,
  "lists side by side on a line": `${"- ".repeat(2_000)}a\nb\n`.repeat(20),
})) {
  test(`${name}: read to the end`, { timeout: 30_000 }, () => {
    assert.ok(whole(source).length > 0);
  });
}
