// The notes below an answer that may be incomplete.
import assert from "node:assert/strict";
import { test } from "node:test";
import { endNotes } from "../../../static/js/chat/log/end_notes.js";

const notes = (message) => endNotes({ finish: "stop", text: "Half of", omitted: null, ...message });

test("a whole answer needs no word", () => {
  assert.deepEqual(notes({}), []);
  assert.deepEqual(notes({ finish: "stopped" }), []);
});

test("every other end is said", () => {
  assert.match(notes({ text: "" })[0], /empty answer/);
  assert.match(notes({ finish: "length" })[0], /length limit/);
  assert.match(notes({ finish: "content_filter" })[0], /filter ended/);
  assert.match(notes({ finish: "tool_calls" })[0], /tool/);
  assert.match(notes({ finish: "unknown" })[0], /did not say/);
  assert.match(notes({ finish: "moon_phase" })[0], /moon_phase.*may not be whole/);
});

test("so is what the answer held besides text, each once", () => {
  assert.match(notes({ omitted: ["image"] })[0], /picture.*cannot be shown/);
  assert.equal(notes({ omitted: ["image", "audio"] }).length, 2);
  assert.equal(notes({ finish: "tool_calls", omitted: ["tool_call"] }).length, 1);
  assert.match(notes({ omitted: ["hologram"] })[0], /something/);
});
