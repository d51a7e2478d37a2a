import assert from "node:assert/strict";
import { test } from "node:test";
import { isLong, joined, taken } from "../../../static/js/chat/compose/pasted.js";

const CASES = [
  { text: "", pastes: ["one\ntwo"] },
  { text: "Look at this", pastes: ["one\n\ntwo\n"] },
  { text: "Both", pastes: ["```js\ncode\n```\n````", "plain"] },
  { text: "```pasted? no```", pastes: ["```pasted\ninner\n```", "`", "last line is blank\n\n"] },
  { text: "nothing pasted", pastes: [] },
];

test("what was pasted is found again, whatever is in it", () => {
  for (const draft of CASES) assert.deepEqual(taken(joined(draft)), draft);
});

test("an ordinary fence is not taken for a pasted text", () => {
  const content = "See:\n\n```python\nprint()\n```\n\nand on";
  assert.deepEqual(taken(content), { text: content, pastes: [] });
});

test("long is many characters or many lines", () => {
  assert.equal(isLong("x".repeat(2_000)), false);
  assert.equal(isLong("x".repeat(2_001)), true);
  assert.equal(isLong("\n".repeat(29)), false);
  assert.equal(isLong("\n".repeat(30)), true);
});

test("openings that nothing closes are read once", () => {
  const content = "\n\n```pasted\na".repeat(300_000);
  assert.deepEqual(taken(content), { text: content.trim(), pastes: [] });
  const mixed = "```pasted\na\n\n````pasted\nb\n````\n\n```pasted\nc";
  assert.deepEqual(taken(mixed), { text: "```pasted\na\n\n```pasted\nc", pastes: ["b"] });
});

test("a fence is longer than any of very many runs of backticks", () => {
  const draft = { text: "", pastes: ["` ".repeat(200_000)] };
  assert.deepEqual(taken(joined(draft)), draft);
});

test("the first line keeps its indentation; blank lines before it and blanks after it go", () => {
  const code = "    if a:\n        return 1";
  assert.equal(joined({ text: `\n \t \n${code}  \n\n`, pastes: [] }), code);
  assert.equal(joined({ text: "\tx", pastes: [] }), "\tx");
  assert.equal(joined({ text: " \n\t\n ", pastes: [] }), "");
  const sent = joined({ text: code, pastes: ["a paste"] });
  assert.deepEqual(taken(sent), { text: code, pastes: ["a paste"] });
  assert.deepEqual(taken(code), { text: code, pastes: [] });
});

test("trimming a text of blanks takes no time to speak of", () => {
  assert.equal(joined({ text: " ".repeat(200_000), pastes: [] }), "");
  assert.equal(joined({ text: `${" \n".repeat(100_000)}x`, pastes: [] }), "x");
});

test("fifty pasted texts are folded, and further ones stay text", () => {
  const { text, pastes } = taken(joined({ text: "Look:", pastes: Array.from({ length: 60 }, (_, index) => `paste ${index}`) }));
  assert.equal(pastes.length, 50);
  assert.equal(text.match(/```pasted\npaste \d+\n```/g)?.length, 10);
});
