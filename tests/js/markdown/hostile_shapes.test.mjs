// What it takes to read a hostile text is counted: characters given to the lexer, in all and in one
// step, and tags of one block. With HOLDFAST_FULL all shapes are read, at full size.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BoundedLexer } from "../../../static/js/chat/markdown/syntax/bounded_lexer.js";
import { htmlOf } from "../../../static/js/chat/markdown/html.js";
import { isTooDeep } from "../../../static/js/chat/markdown/syntax/math_syntax.js";
import { Notes } from "../../../static/js/chat/markdown/notes.js";
import { BlockStream } from "../../../static/js/chat/markdown/stream.js";
import { shapes } from "./hostile_shapes.mjs";

const IS_FULL = Boolean(process.env.HOLDFAST_FULL);
const CHARS = IS_FULL ? 100_000 : 14_000;
const EVERY = IS_FULL ? 1 : 61;
const PIECES = 20;
const MOST_GROWTH = 2.2;
// The first window of a text, and the last, may be read a few times more.
const MARGIN_CHARS = 300_000;
// A block is read on each level of its nesting.
const MOST_CHARS_OF_STEP = 700_000;
const MOST_TAGS = 4_000;

let charsRead = 0;
for (const name of ["blockTokens", "inlineTokens"]) {
  const read = BoundedLexer.prototype[name];
  BoundedLexer.prototype[name] = function counted(source, ...rest) {
    charsRead += source.length;
    return read.call(this, source, ...rest);
  };
}

/** Reads `source` in `pieces`: {chars read, the most in one step, the most tags of one block}. */
function readingOf(source, pieces) {
  const stream = new BlockStream();
  const notes = new Notes();
  let [chars, mostOfStep, mostTags] = [0, 0, 0];
  const size = Math.ceil(source.length / pieces);
  for (let end = size; ; end += size) {
    const isDone = end >= source.length;
    do {
      charsRead = 0;
      const parts = stream.step(source.slice(0, end), isDone);
      chars += charsRead;
      mostOfStep = Math.max(mostOfStep, charsRead);
      for (const { token } of parts) if (token) mostTags = Math.max(mostTags, htmlOf(token, notes).split("<").length);
    } while (stream.isBehind);
    if (isDone) return { chars, mostOfStep, mostTags };
  }
}

// What held the page once.
const IS_KNOWN = /hundred columns|^uses, then|^(?:fences|backticks) of many|^groups in|^definition, repeated|^less than across display|^fence across tilde|comment, around|^math in parentheses, unclosed/;
const chosen = [...shapes(CHARS)].filter(([name], index) => index % EVERY === 0 || IS_KNOWN.test(name));
const doubled = new Map(shapes(2 * CHARS));

for (const pieces of [1, PIECES]) {
  test(`hostile texts in ${pieces} pieces: the work grows as their length, and no step is large`, () => {
    for (const [name, make] of chosen) {
      const once = readingOf(make(), pieces);
      const twice = readingOf(doubled.get(name)(), 2 * pieces);
      assert.ok(twice.chars <= MOST_GROWTH * once.chars + MARGIN_CHARS, `${name}: ${once.chars}, then ${twice.chars} characters`);
      assert.ok(twice.mostOfStep <= MOST_CHARS_OF_STEP, `${name}: ${twice.mostOfStep} characters in one step`);
      assert.ok(twice.mostTags <= MOST_TAGS, `${name}: ${twice.mostTags} tags in one block`);
    }
  });
}

test("what is too large is shown as it was written, all of it, with a word on that", () => {
  for (const piece of ["> said\n", "<!-- said", "- a\n  b\n  ", "| a "]) {
    const source = piece.repeat(30_000 / piece.length);
    const stream = new BlockStream();
    const parts = [];
    do parts.push(...stream.step(source, true)); while (stream.isBehind);
    const html = parts.map(({ token }) => htmlOf(token));
    if (piece !== "| a ") assert.equal(html.join("").split("md-too-large").length, 2, piece);
    assert.equal(parts.map(({ raw }) => raw).join("").replaceAll("\u2060", ""), source);
  }
});

test("what ended before an endless line is drawn", () => {
  const stream = new BlockStream();
  const parts = [];
  do parts.push(...stream.step(`*before*\n\n${"> said".repeat(3_000)}`, true)); while (stream.isBehind);
  assert.equal(htmlOf(parts[0].token).trim(), "<p><em>before</em></p>");
});

test("after what was too large the text goes on", () => {
  const stream = new BlockStream();
  const parts = [];
  const source = `${"> said\n".repeat(3_000)}\n*after*\n\n- one\n`;
  for (let end = 700; end < source.length + 700; end += 700) {
    do parts.push(...stream.step(source.slice(0, end), end >= source.length)); while (stream.isBehind);
  }
  assert.deepEqual(parts.slice(-2).map(({ token }) => token.type), ["paragraph", "list"]);
});

test("addresses and footnotes have a most; what comes after is text", () => {
  const many = (piece, count) => Array.from({ length: count }, (_, index) => piece.replaceAll("#", index)).join("");
  const stream = new BlockStream();
  const parts = [];
  const source = many("[r#]: https://e.com/#\n", 1_200) + "\n[a][r1] [b][r1199]\n\n" + many("[^#]: note\n", 15_000);
  do parts.push(...stream.step(source, true)); while (stream.isBehind);
  assert.equal(Object.keys(stream.links).length, 500);
  assert.equal(parts.filter(({ token }) => token.type === "footnote").length, 300);
  assert.ok(parts.map(({ raw }) => raw).join("").includes("[r1199]: https://e.com/1199"));
});

test("a formula is not nested deeper than a browser can lay out", () => {
  assert.equal(isTooDeep("\\hat{".repeat(150) + "x" + "}".repeat(150)), true);
  assert.equal(isTooDeep("\\frac{\\sqrt{x^{2}}}{\\{2\\}}".repeat(50)), false);
});
