// Counts the work to read hostile texts: the characters that the lexer reads, in all and in one step,
// and the tags of one block. With HOLDFAST_FULL all shapes are read, at full size.
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
// The first and the last window of a text may be read a few times more.
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

/** Yields the parts of each step in which `stream` reads `source`, `size` characters at a time. */
function* steps(stream, source, size = source.length) {
  for (let end = size; ; end += size) {
    const isDone = end >= source.length;
    do yield stream.step(source.slice(0, end), isDone);
    while (stream.isBehind);
    if (isDone) return;
  }
}

const partsOf = (...reading) => [...steps(...reading)].flat();
const sourceOf = (parts) => parts.map(({ raw }) => raw).join("");

/** Returns the work to read `source` in `pieces`, with the most characters of a step and tags of a block. */
function workOf(source, pieces) {
  const stream = new BlockStream();
  const notes = new Notes();
  let [chars, mostOfStep, mostTags] = [0, 0, 0];
  charsRead = 0;
  for (const parts of steps(stream, source, Math.ceil(source.length / pieces))) {
    chars += charsRead;
    mostOfStep = Math.max(mostOfStep, charsRead);
    for (const { token } of parts) if (token) mostTags = Math.max(mostTags, htmlOf(token, notes).split("<").length);
    charsRead = 0;
  }
  return { chars, mostOfStep, mostTags };
}

// Shapes that once blocked the page.
const IS_KNOWN = /hundred columns|^uses, then|^(?:fences|backticks) of many|^groups in|^definition, repeated|^less than across display|^fence across tilde|comment, around|^math in parentheses, unclosed/;
const chosen = [...shapes(CHARS)].filter(([name], index) => index % EVERY === 0 || IS_KNOWN.test(name));
const doubled = new Map(shapes(2 * CHARS));

for (const pieces of [1, PIECES]) {
  test(`hostile texts in ${pieces} pieces: the work grows as their length, and no step is large`, () => {
    for (const [name, make] of chosen) {
      const once = workOf(make(), pieces);
      const twice = workOf(doubled.get(name)(), 2 * pieces);
      assert.ok(twice.chars <= MOST_GROWTH * once.chars + MARGIN_CHARS, `${name}: ${once.chars}, then ${twice.chars} characters`);
      assert.ok(twice.mostOfStep <= MOST_CHARS_OF_STEP, `${name}: ${twice.mostOfStep} characters in one step`);
      assert.ok(twice.mostTags <= MOST_TAGS, `${name}: ${twice.mostTags} tags in one block`);
    }
  });
}

test("a block that is too large is shown unrendered and complete, with a note", () => {
  for (const piece of ["> said\n", "<!-- said", "- a\n  b\n  ", "| a "]) {
    const source = piece.repeat(30_000 / piece.length);
    const parts = partsOf(new BlockStream(), source);
    const html = parts.map(({ token }) => htmlOf(token));
    if (piece !== "| a ") assert.equal(html.join("").split("md-too-large").length, 2, piece);
    assert.equal(sourceOf(parts).replaceAll("\u2060", ""), source);
  }
});

test("a block before an endless line is drawn", () => {
  const [first] = partsOf(new BlockStream(), `*before*\n\n${"> said".repeat(3_000)}`);
  assert.equal(htmlOf(first.token).trim(), "<p><em>before</em></p>");
});

test("the text continues after a block that is too large", () => {
  const parts = partsOf(new BlockStream(), `${"> said\n".repeat(3_000)}\n*after*\n\n- one\n`, 700);
  assert.deepEqual(parts.slice(-2).map(({ token }) => token.type), ["paragraph", "list"]);
});

test("addresses and footnotes beyond their maximum are shown as text", () => {
  const many = (piece, count) => Array.from({ length: count }, (_, index) => piece.replaceAll("#", index)).join("");
  const stream = new BlockStream();
  const source = many("[r#]: https://e.com/#\n", 1_200) + "\n[a][r1] [b][r1199]\n\n" + many("[^#]: note\n", 15_000);
  const parts = partsOf(stream, source);
  assert.equal(Object.keys(stream.links).length, 500);
  assert.equal(parts.filter(({ token }) => token.type === "footnote").length, 300);
  assert.ok(sourceOf(parts).includes("[r1199]: https://e.com/1199"));
});

test("a formula is not nested deeper than a browser can lay out", () => {
  assert.equal(isTooDeep("\\hat{".repeat(150) + "x" + "}".repeat(150)), true);
  assert.equal(isTooDeep("\\frac{\\sqrt{x^{2}}}{\\{2\\}}".repeat(50)), false);
});
