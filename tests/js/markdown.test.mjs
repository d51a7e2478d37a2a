import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf } from "../../static/js/chat/markdown/render.js";
import { codeUntil, finalCount, openFence } from "../../static/js/chat/markdown/stream.js";

const ANSWER = `# Title

A paragraph with *emphasis* and a
second line.

1. one
2. two

   inside two
10. ten

- a
  - b

\`\`\`python
def f():

    return 1
\`\`\`

| a | b |
| - | - |
| 1 | 2 |

> quoted
> on

Last words [with a link][ref].

[ref]: https://example.org
`;

const raws = (source) => blocksOf(source).filter((token) => token.type !== "space").map((token) => token.raw.trimEnd());

/** What the growing view keeps as final, fed \`source\` in pieces of \`size\`. */
function finalBlocks(source, size) {
  const kept = [];
  let offset = 0;
  for (let end = size; ; end += size) {
    const tokens = blocksOf(source.slice(offset, end));
    const count = finalCount(tokens);
    tokens.slice(0, count).forEach((token) => {
      offset += token.raw.length;
      if (token.type !== "space") kept.push(token.raw.trimEnd());
    });
    if (end >= source.length) return kept;
  }
}

test("blocks together are the source", () => {
  assert.equal(blocksOf(ANSWER).map((token) => token.raw).join(""), ANSWER);
});

test("a block that is called final is one of the finished text, however the pieces fall", () => {
  const whole = raws(ANSWER);
  for (let size = 1; size < 40; size++) {
    const kept = finalBlocks(ANSWER, size);
    assert.deepEqual(kept, whole.slice(0, kept.length), `pieces of ${size}`);
    assert.ok(kept.length >= whole.length - 2);
  }
});

test("an unclosed code fence is followed line by line", () => {
  const fence = openFence("```python\ncode");
  assert.deepEqual(fence, { mark: "```", start: 10 });
  assert.equal(openFence("text"), null);
  const grow = (source) => codeUntil(source, fence.start, fence.mark);
  assert.deepEqual(grow("```python\na\nb"), { until: 12, isClosed: false });
  assert.deepEqual(grow("```python\na\n``"), { until: 12, isClosed: false });
  assert.deepEqual(grow("```python\na\n```\n"), { until: 12, isClosed: true });
  assert.equal(codeUntil("~~~\n```\n", 4, "~~~").isClosed, false);
});

for (const [name, source] of Object.entries({
  "a megabyte on one line": "word ".repeat(200_000),
  "deep quotes": `${"> ".repeat(5_000)}x`,
  "deep lists": `${"- ".repeat(5_000)}x`,
  "brackets that never close": "[".repeat(50_000),
  "links that never close": "[a](".repeat(20_000),
  "stars": "*a **b ".repeat(20_000),
  "html that never closes": "<a ".repeat(30_000),
  "backticks": "`a ``b ".repeat(20_000),
})) {
  test(`${name}: parsed in time`, () => {
    const start = performance.now();
    assert.ok(blocksOf(source).length > 0);
    assert.ok(performance.now() - start < 1_000);
  });
}
