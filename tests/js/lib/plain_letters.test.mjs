// Filters in the page normalise letters as the server's search does.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { folded, hasAll, marked, wordsOf } from "../../../static/js/chat/lib/plain_letters.js";

const vectors = JSON.parse(readFileSync(new URL("../../vectors/search/letters.json", import.meta.url)));

for (const { text, letters } of vectors) {
  test(`folds ${text}`, () => assert.equal(folded(text).letters, letters));
}

test("finds whatever accents, case and width it is typed with", () => {
  assert.ok(hasAll("Smørrebrød in İstanbul", wordsOf("smorrebrod ISTANBUL")));
  assert.ok(hasAll("Ｈｅｌｌｏ ｶﾞ", wordsOf("hello ガ")));
  assert.ok(hasAll("git push --force", wordsOf("push --force")));
  assert.ok(!hasAll("cafe", wordsOf("cafes")));
  assert.deepEqual(wordsOf("  "), []);
});

test("marks what matched where it was written", () => {
  assert.deepEqual(marked("Die Straße", wordsOf("stras")), [["Die ", false], ["Straß", true], ["e", false]]);
  assert.deepEqual(marked("Cafe\u0301 au lait", wordsOf("cafe")), [["Cafe\u0301", true], [" au lait", false]]);
  assert.deepEqual(marked("one two", wordsOf("two one")), [["one", true], [" ", false], ["two", true]]);
  assert.deepEqual(marked("nothing", wordsOf("xyz")), [["nothing", false]]);
  assert.deepEqual(marked("", wordsOf("a")), []);
});

test("a label is made of its parts whatever is typed", () => {
  for (const label of ["Straße", "👩‍💻 x", "학교에서", "\ud83d", "ก\u0e33", "A\u0301\u0302B"]) {
    for (const query of ["s", "ss", "x", "학교", "a", "b", "\ud83d"]) {
      assert.equal(marked(label, wordsOf(query)).map(([part]) => part).join(""), label);
    }
  }
});
