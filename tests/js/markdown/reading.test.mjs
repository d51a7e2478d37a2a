import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { duration } from "../../../static/js/chat/lib/format.js";
import { knownLanguage } from "../../../static/js/chat/highlight/languages.js";
import { nameOf } from "../../../static/js/chat/highlight/names.js";
import { runsOf, splitRuns } from "../../../static/js/chat/highlight/runs.js";
import { hasHidden } from "../../../static/js/chat/markdown/hidden.js";
import { plainText } from "../../../static/js/chat/lib/plain_text.js";
import { Speech } from "../../../static/js/chat/speech.js";
import core from "../../../static/vendor/highlight-11.12.0/core.js";
import python from "../../../static/vendor/highlight-11.12.0/languages/python.js";
import { randomNumbers } from "../random_numbers.mjs";

const ANSWER = `First *sentence*. Second one, with \`code\` in it!

\`\`\`js
alert("Not. Read. Out.");
\`\`\`

| a | b |
| - | - |
| 1 | 2 |

$$
x. y
$$
- An item of a list
The end`;
const SPOKEN = ["First sentence.", "Second one, with code in it!", "A block of code.", "A table.", "A formula.", "An item of a list", "The end"];

test("an answer is told in sentences, each once, however it comes", () => {
  const random = randomNumbers(5);
  for (let round = 0; round < 200; round++) {
    const speech = new Speech();
    const told = [];
    for (let end = 0; end < ANSWER.length; end += 1 + Math.floor(random() * 20)) told.push(...speech.take(ANSWER.slice(0, end), false));
    told.push(...speech.take(ANSWER, true));
    assert.deepEqual(told, SPOKEN);
  }
});

test("a formula is told by name, and one that is never closed silences nothing after it", () => {
  const told = (source) => new Speech().take(source, true);
  assert.deepEqual(told("\\begin{align}\nu &= v. w\n\n\\end{align}\nAfter it."), ["A formula.", "After it."]);
  assert.deepEqual(told("$$\n|u| = v\n\nw = z\n$$\nAfter it."), ["A formula.", "After it."]);
  assert.deepEqual(told("\\[ u \\]\nAfter it."), ["A formula.", "After it."]);
  assert.deepEqual(told("$$ u\n\nThese are words again.\nAnd more."), ["A formula.", "These are words again.", "And more."]);
});

test("formulas within a sentence and task boxes are told in words", () => {
  const told = (source) => new Speech().take(source, true);
  assert.deepEqual(told("If $x^2 = 4$ then \\(x\\) is 2. It costs $5 or $10."), ["If formula then formula is 2.", "It costs $5 or $10."]);
  assert.deepEqual(told("- [x] Write `$a$`\n- [ ] Test *it*"), ["Done: Write $a$", "Not done: Test it"]);
});

test("what the highlighter marks up comes back as runs of the same text", () => {
  core.registerLanguage("python", python);
  const code = 'def f(x):\n    """<b>&amp;</b> \'x\'"""\n    return f"{x!r} <img src=x onerror=alert(1)>" # & </span>\n';
  const runs = runsOf(core.highlight(code, { language: "python" }).value);
  assert.equal(runs.map(([, text]) => text).join(""), code);
  assert.ok(runs.some(([name]) => name === "hljs-keyword"));
  const lengths = [10, 1, code.length - 11];
  assert.deepEqual(splitRuns(runs, lengths).map((list) => list.map(([, text]) => text).join("")), [code.slice(0, 10), code.slice(10, 11), code.slice(11)]);
});

test("a class that is no name of a class is not taken over", () => {
  assert.deepEqual(runsOf('<span class="x&quot; onload">a</span>&lt;b'), [["", "a<b"]]);
});

test("languages are known by the names that models use", () => {
  assert.deepEqual(["py", "HTML", "c++", "constructor", "", "brainfog"].map(knownLanguage), ["python", "xml", "cpp", null, null, null]);
});

test("languages are called by their names, others as they are written", () => {
  const written = ["py", "JavaScript", "c++", "sh", "Dockerfile", "brainfog", "constructor", "", "txt"];
  assert.deepEqual(written.map(nameOf), ["Python", "JavaScript", "C++", "Shell", "Dockerfile", "brainfog", "constructor", "", ""]);
  const source = readFileSync(new URL("../../../static/js/chat/highlight/languages.js", import.meta.url), "utf8");
  const known = source.match(/(?<=^ {2})\w+(?=: \(\))/gm);
  assert.ok(known.length > 40);
  assert.deepEqual(known.filter((name) => nameOf(name) === name && !["nginx"].includes(name)), []);
});

test("what one does not see in code is noticed, but where a script or an emoji needs it", () => {
  const hidden = ["a\u202Eb", "x\u2066", "\u2069", "ad\u200Bmin", "ad\u200Dmin", "a\u00ADb", "\uFEFFx", "\u3164", "\u200F", "a\u{E0041}", "\x1B[31m", "a\x00",
    "\u2028", "😀\uFE0F\uFE0F", "a\uFE0F", "1\uFE0F", "1\u200D2", "\u061C", "\u2062", "\u180E"];
  assert.deepEqual(hidden.filter((code) => !hasHidden(code)), []);
  const seen = ["a = 1\n\tb", "é ü ß", "变量 = 1", "\u00A0", "👩‍💻 👍🏽 ❤️‍🔥 1️⃣ 👨‍👩‍👧", "می‌خواهم", "क्‍ष", "שלום", "مرحبا", "葛\u{E0100}", "𝒳"];
  assert.deepEqual(seen.filter(hasHidden), []);
});

test("far messages are text without marks", () => {
  assert.equal(plainText("# A **bold** [link](http://x.y) and `code`[^1]\n> quoted"), "A bold link and code\nquoted");
  assert.equal(plainText("2 * 3 * 4 and snake_case_name"), "2 * 3 * 4 and snake_case_name");
});

test("times read well", () => {
  assert.deepEqual([duration(900), duration(12_300), duration(3_000, { isWhole: true }), duration(75_000)], ["0.9 s", "12 s", "3 s", "1 min 15 s"]);
});

test("plain text is quick on whatever somebody makes up", () => {
  // A rule that backtracks over a long line takes minutes.
  for (const piece of ["`", "``a", "**a", "__a ", "*a ", "[", "[a](", "[^", "> ", "\\"]) {
    for (const head of ["", "word a"]) assert.ok(plainText((head + piece.repeat(100_000)).slice(0, 100_000)).length <= 100_000);
  }
  assert.equal(plainText("a ``b`` `c` `"), "a b c `");
});
