// Test vectors of markdown and its HTML: read in one piece, by character and in random pieces.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { BlockStream } from "../../static/js/chat/markdown/stream.js";
import { randomNumbers } from "./random_numbers.mjs";
import { shownHtml, streamed, whole } from "./markdown/streamed.mjs";

const FOLDER = new URL("../vectors/markdown/", import.meta.url);
const vectors = Object.fromEntries(readdirSync(FOLDER).map((name) => [name, JSON.parse(readFileSync(new URL(name, FOLDER)))]));
const texts = Object.values(vectors).flat().map(({ markdown }) => markdown);

for (const [name, cases] of Object.entries(vectors)) {
  test(`${name}: the vectors`, () => {
    for (const { markdown, html } of cases) {
      assert.equal(shownHtml(whole(markdown)), html, JSON.stringify(markdown));
      assert.deepEqual(streamed(markdown, () => 1), whole(markdown), JSON.stringify(markdown));
    }
  });
}

test("vectors below each other come to the same blocks in whatever pieces", () => {
  const random = randomNumbers(29);
  const pick = (list) => list[Math.floor(random() * list.length)];
  for (let round = 0; round < 150; round++) {
    const source = Array.from({ length: 2 + Math.floor(random() * 4) }, () => pick(texts) + pick(["\n", "\n\n", " "])).join("");
    const most = 1 + Math.floor(random() * 25);
    assert.deepEqual(streamed(source, () => 1 + Math.floor(random() * most)), whole(source), JSON.stringify(source));
  }
});

test("so do lines cut at random", () => {
  const random = randomNumbers(31);
  const lines = texts.flatMap((markdown) => markdown.split(/(?<=\n)/)).concat("\n", "\n\n", "---\n", "===\n", "> ", "- ", "  ", "$$\n", "\\[\n");
  for (let round = 0; round < 600; round++) {
    const source = Array.from({ length: 2 + Math.floor(random() * 12) }, () => lines[Math.floor(random() * lines.length)]).join("");
    const most = 1 + Math.floor(random() * 25);
    assert.deepEqual(streamed(source, () => 1 + Math.floor(random() * most)), whole(source), JSON.stringify(source));
  }
});

/** Returns the HTML of the unfinished end after each character of `source`. */
function openEnds(source) {
  const stream = new BlockStream();
  return Array.from({ length: source.length }, (_, index) => {
    do stream.step(source.slice(0, index + 1), false);
    while (stream.isBehind);
    return shownHtml(stream.open.map((part) => ({ html: part })));
  });
}

test("a formula that is still being written stands as it was written", () => {
  for (const source of ["$$\na_1 * b_2 * c\n\nd", "\\[\n# a\n- b", "So \\(a_{1} * b_{2} * c", "Thus $\\alpha_{i} * \\beta_{j} * c", "- x\n\n  $$\n  a * b * c\n\n  d", "\\begin{align}\na &= b * c * d \\\\\n- e"]) {
    for (const html of openEnds(source)) assert.doesNotMatch(html, /<(?:em|strong|h1|h2|ol)>/, source);
  }
  assert.match(openEnds("A price of $5 and **bold** text").at(-1), /<strong>bold<\/strong>/);
});

test("a formula that is never closed keeps nothing of the answer back for long", () => {
  const source = `$$ x\n\n${"Words of prose that go on. ".repeat(3)}\n\n**bold**\n\nThe end.\n`;
  const stream = new BlockStream();
  const parts = [];
  do parts.push(...stream.step(source, false));
  while (stream.isBehind);
  assert.match(shownHtml(parts.map((part) => ({ html: part }))), /<strong>bold/);
  const short = `$$\n${"a = b\n\n".repeat(900)}`;
  const other = new BlockStream();
  assert.ok(other.step(short, false).length > 0);
});
