// Texts made up to keep the page busy: if a rule backtracks over a long text, one of these tests
// times out.
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamed, whole } from "./streamed.mjs";

const LENGTH = 100_000;
const HOSTILE = ["$$\n\n", "$$ x\n\n", "\\[a\n\n", "\\begin{align}\n\n", "\\begin{align}", "a \\[\n", "a $$\n\n", "- $$\n", "> \\[\n\n", "|$|\n|-|\n", "| $a|b$ | ", "**「", "**「あ」**い", "**\"a\"**b ", "_「a」_", "~~a", "~", "1~2 ",
  "a\n", "a \n", "  \n", "https://", "https://e.com/", "https://e.com/)", "https://e.com/(", "https://e.com/a;", "https://e.com/&amp;", "www.", "看www.", "a@", "。", "\\label{", "$5，", "$1a b", "文字", "a\uFE01", "\u{E0100}**", "\uD842**", "<br>\n", "\\(", "aa aa", "\\text{"];

for (const piece of HOSTILE) {
  test(`${JSON.stringify(piece)} without end: read to the end, at once and as it grows`, { timeout: 60_000 }, () => {
    const source = piece.repeat(LENGTH / piece.length);
    assert.equal(whole(source).length === 0, source.trim() === "");
    const head = source.slice(0, 8_000);
    assert.deepEqual(streamed(head, () => 800), whole(head));
  });
}
