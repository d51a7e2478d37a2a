import assert from "node:assert/strict";
import { test } from "node:test";
import { isLargerThanThumb, shownSize } from "../../../static/js/chat/files/layout.js";

test("a picture keeps its shape and is never enlarged", () => {
  const sizes = [
    [{ width: 4000, height: 3000 }, { width: 360, height: 270 }],
    [{ width: 3000, height: 4000 }, { width: 240, height: 320 }],
    [{ width: 20, height: 10 }, { width: 20, height: 10 }],
    [{ width: 20_000, height: 3 }, { width: 360, height: 1 }],
  ];
  for (const [file, shown] of sizes) assert.deepEqual(shownSize(file), shown);
});

test("a picture of unknown size has a place, too", () => {
  assert.deepEqual(shownSize({}), { width: 240, height: 180 });
  assert.equal(isLargerThanThumb({}), false);
});

test("a picture as small as its thumbnail is not loaded again", () => {
  assert.equal(isLargerThanThumb({ width: 256, height: 256 }), false);
  assert.equal(isLargerThanThumb({ width: 100, height: 257 }), true);
});
