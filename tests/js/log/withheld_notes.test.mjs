import assert from "node:assert/strict";
import { test } from "node:test";
import { withheldNotes } from "../../../static/js/chat/log/withheld_notes.js";

test("an answer to which nothing was withheld needs no word", () => {
  assert.deepEqual(withheldNotes({ withheld: null }), []);
});

test("each reason is one sentence that counts its files", () => {
  const withheld = [
    { file: "a", why: "window" },
    { file: "b", why: "modality" },
    { file: "c", why: "modality" },
    { file: "c", why: "modality" },
    { file: "d", why: "of a newer version" },
  ];
  assert.deepEqual(withheldNotes({ withheld }), [
    "2 files were not shown to the model, which can’t see pictures. It knows only the names.",
    "1 file did not fit, or not all of it: the model’s context is full.",
  ]);
});

test("what was not heard is not said to be unseen", () => {
  const withheld = [{ file: "a", why: "modality" }, { file: "b", why: "modality" }, { file: "b", why: "window" }];
  assert.deepEqual(withheldNotes({ withheld }, null, (file) => file === "b"), [
    "1 file was not shown to the model, which can’t see pictures. It knows only the name.",
    "1 file was not played to the model, which can’t hear. It knows only the name.",
    "1 file did not fit, or not all of it: the model’s context is full.",
  ]);
});

test("what the answer before was not given either is not said again", () => {
  const before = { withheld: [{ file: "a", why: "modality" }, { file: "b", why: "window" }] };
  const withheld = [
    { file: "a", why: "modality" },
    { file: "b", why: "modality" },
  ];
  assert.deepEqual(withheldNotes({ withheld }, before), ["1 file was not shown to the model, which can’t see pictures. It knows only the name."]);
  assert.deepEqual(withheldNotes(before, before), []);
});
