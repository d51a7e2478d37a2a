import assert from "node:assert/strict";
import { test } from "node:test";
import { msAt, placesOf, sentenceAt } from "../../../static/js/chat/speaking/places.js";

/**
 * What stands at the places of the sentences.
 * @param {string[]} sentences
 * @param {string} text
 */
const found = (sentences, text) => placesOf(sentences, text).map((place) => place && text.slice(...place));

test("sentences are found whatever marks and spaces stand between", () => {
  assert.deepEqual(found(["The moon, it pulls.", "So does the sun!"], "The moon —\n it pulls\n\nSo does the Sun… So does the sun"), ["The moon —\n it pulls", "So does the sun"]);
});

test("equal sentences follow each other", () => {
  assert.deepEqual(placesOf(["Yes.", "Yes.", "No."], "Yes. Yes. No."), [[0, 4], [5, 9], [10, 13]]);
});

test("marks that touch a sentence are marked with it", () => {
  assert.deepEqual(found(["Yes", "no", "or so"], "(“Yes!”) no—or so…"), ["(“Yes!”)", "no—", "or so…"]);
});

test("a sentence that is not there has no place, and the next one is found", () => {
  assert.deepEqual(found(["One.", "Code block", "", "Two."], "One. 👍 Two."), ["One.", null, null, "Two."]);
});

test("places count UTF-16 units", () => {
  assert.deepEqual(placesOf(["𝕏 marks it."], "🌊 𝕏 marks it."), [[3, 15]]);
});

test("the sentence at a time", () => {
  const spans = [[0, 4, 0, 1_000], [5, 9, 1_000, 1_000], [10, 14, 1_000, 2_500]];
  assert.deepEqual([0, 999, 1_000, 2_499, 2_500].map((ms) => sentenceAt(spans, ms)), [0, 0, 2, 2, -1]);
});

test("the time of a place in the text, estimated within its sentence", () => {
  const spans = [[0, 4, 0, 1_000], [5, 9, 1_000, 3_000], [10, 14, 3_000, 4_000]];
  /** @type {([number, number] | null)[]} */
  const places = [[0, 4], [5, 9], null];
  assert.deepEqual([0, 2, 4, 5, 8, 12].map((place) => msAt(spans, places, place)), [0, 500, null, 1_000, 2_500, null]);
  assert.equal(msAt([], places, 0), null);
});
