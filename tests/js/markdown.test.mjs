import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, htmlOf } from "../../static/js/chat/markdown/html.js";
import { Notes } from "../../static/js/chat/markdown/notes.js";
import { BlockStream } from "../../static/js/chat/markdown/stream.js";
import { randomNumbers } from "./random_numbers.mjs";

const LINES = [
  "# T\n", "para *x* `c` $a^2$ costs $5 and $10.\n", "\n", "\n\n", "1. a\n", "2. b\n", "\n   in\n", "- [ ] t\n", "  - n\n", "```js\n",
  "x()\n", "```\n", "| a | b |\n", "| - | -: |\n", "| 1 | 2 |\n", "> q\n", "$$\na\n+ b\n$$\n", "[^1]: note\n", "ref[^1] [l][r]\n",
  "\\[ x \\]\n", "~~~\n", "    indented\n", "---\n", "===\n", "<div>\n", "word ", "word. ", "[r]: http://x.y\n", "***\n", "- ", "&amp; <b>\n",
];
const LONG = {
  list: Array.from({ length: 600 }, (_, index) => `${index + 1}. item number ${index}\n`).join(""),
  table: "| a | b |\n| :- | -: |\n" + Array.from({ length: 600 }, (_, index) => `| ${index} | cell ${index} |\n`).join(""),
  paragraph: "A sentence with **bold words** in it, and `code`. ".repeat(400),
  words: "word ".repeat(4_000),
  "one word": "x".repeat(30_000),
  code: `\`\`\`js\n${"let a = 1;\n".repeat(1_500)}`,
};

/** What the stream makes of `source` when it comes in pieces of the sizes that `size` gives. */
function streamed(source, size) {
  const stream = new BlockStream();
  const notes = new Notes();
  const blocks = [];
  let end = 0;
  const read = (isDone) => {
    do {
      for (const part of stream.step(source.slice(0, end), isDone)) {
        if (part.type === "block") blocks.push({ part });
        else if (part.type === "code") blocks.push({ language: part.language, code: "" });
        else if (part.type === "lines") blocks.at(-1).code += part.text;
      }
    } while (stream.isBehind);
  };
  while (end < source.length) {
    end = Math.min(source.length, end + size());
    read(false);
  }
  read(true);
  // Addresses may be defined after they are used: the last pass reads those blocks again.
  return blocks.map((block) => (block.part ? { carried: block.part.carried, html: htmlOf(stream.again(block.part), notes) } : block));
}

const bare = (html) => html.replace(/\s+/g, "");
const whole = (source) => streamed(source, () => Infinity);

test("however the text comes in, the blocks are the same", () => {
  const random = randomNumbers(7);
  for (let round = 0; round < 1_500; round++) {
    const count = 1 + Math.floor(random() * 14);
    const source = Array.from({ length: count }, () => LINES[Math.floor(random() * LINES.length)]).join("");
    const most = 1 + Math.floor(random() * 30);
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
})) {
  test(`${name}: read to the end`, { timeout: 30_000 }, () => {
    assert.ok(whole(source).length > 0);
  });
}
