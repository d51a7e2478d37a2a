import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { plainText } from "../../../static/js/chat/lib/plain_text.js";

const vectors = JSON.parse(readFileSync(new URL("../../vectors/plain_text.json", import.meta.url)));

test("the page makes of markdown what the server does", () => {
  for (const { markdown, text } of vectors) assert.equal(plainText(markdown), text);
});

test("no range of digits and no table hangs it", { timeout: 30_000 }, () => {
  for (const piece of ["~~", "~~a", "1~~2", "|--", "-- |", "- [", "*a "]) plainText(piece.repeat(100_000 / piece.length));
});
