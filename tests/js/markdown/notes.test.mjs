import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf } from "../../../static/js/chat/markdown/html.js";
import { Notes } from "../../../static/js/chat/markdown/notes.js";

test("references are numbered in the order of the text, also those in a table", () => {
  const notes = new Notes();
  const blocks = blocksOf("Text[^a]\n\n| x[^b] | y |\n|---|---|\n| 1 | 2[^c] |\n\n[^c]: C\n\n[^b]: B\n\n[^a]: A\n");
  for (const block of blocks) if (block.type === "footnote") notes.define(block.label);
  for (const block of blocks) notes.referAll(block);
  assert.deepEqual(["a", "b", "c"].map((label) => notes.numberOf(label)), [1, 2, 3]);
});
