import assert from "node:assert/strict";
import { test } from "node:test";
import { fitted, isLong, isTooLongForField, joined, partsOf, taken } from "../../../static/js/chat/compose/pasted.js";

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

test("parts are short, end at lines where there are any, and lose nothing", () => {
  const units = ["a\n", "\n", "word ", "\u{1f468}", "a\u{1f468}", `${"x".repeat(50_000)}\n`, "a\u05d0", "\u05d0", "\u2067a\u2069", "\u200f"];
  for (const unit of units) {
    const content = unit.repeat(Math.ceil(100_000 / unit.length));
    const parts = partsOf(content);
    assert.equal(parts.join(""), content);
    for (const part of parts) assert.ok(part.length > 0 && part.isWellFormed() && !isTooLongForField(part), JSON.stringify(unit));
  }
  assert.ok(partsOf("a line\n".repeat(9_000)).every((part) => part.endsWith("\n")));
  assert.deepEqual(partsOf(""), []);
});

test("how much a field shows depends on what it costs", () => {
  const longest = (unit) => partsOf(unit.repeat(50_000))[0].length;
  assert.equal(longest("word "), 32_000);
  assert.equal(longest("\u05d0\u05d1 12, "), 32_000);
  assert.equal(longest("\n"), 4_000);
  assert.equal(longest("a\u05d0"), 4_001);
  assert.equal(longest("\u2067a\u2069"), 3_000);
});

test("a text that a field would lay out too slowly is folded behind its beginning", () => {
  const long = "a line\n".repeat(5_000);
  const fits = { text: "x".repeat(32_000), pastes: ["one"] };
  assert.deepEqual(fitted(fits), fits);
  const { text, pastes } = fitted({ text: long, pastes: ["one"] });
  assert.ok(text.length < long.length);
  assert.deepEqual([`${text}\n${pastes[1]}`, pastes[0], pastes.length], [long, "one", 2]);
  // A message takes only so many.
  const full = fitted({ text: long, pastes: ["one", "two"] }, 2);
  assert.deepEqual(full.pastes, ["one", `two\n\n${long.slice(full.text.length + 1)}`]);
});
