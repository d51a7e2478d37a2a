import assert from "node:assert/strict";
import { test } from "node:test";
import { spaced } from "../../../static/js/chat/sound/insertion.js";

test("a dictated text is separated from what is beside it, and only where that is needed", () => {
  assert.equal(spaced("", "Open it.", ""), "Open it.");
  assert.equal(spaced("Please", "open it.", ""), " open it.");
  assert.equal(spaced("Please ", "open it.", ""), "open it.");
  assert.equal(spaced("Say:\n", "open it", ", then go"), "open it");
  assert.equal(spaced("(", "open it", ")"), "open it");
  assert.equal(spaced("First.", "Open it.", "Then go."), " Open it. ");
  assert.equal(spaced("“", "open it", "”"), "open it");
});
