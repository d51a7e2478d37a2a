import assert from "node:assert/strict";
import { test } from "node:test";
import { quoteOf } from "../../../static/js/chat/compose/quoting.js";

test("each line of a quotation has its mark, and blank lines stay one", () => {
  assert.equal(quoteOf("one"), "> one");
  assert.equal(quoteOf("\n one\r\ntwo\n\n\n\nthree \n"), "> one\n> two\n>\n> three");
  assert.equal(quoteOf("  \n \n"), "");
});
