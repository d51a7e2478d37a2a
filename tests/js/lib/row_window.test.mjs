import assert from "node:assert/strict";
import { test } from "node:test";
import { rowsInView, scrolledTo, topsOf } from "../../../static/js/chat/lib/row_window.js";

const HEIGHT = 40;
const tops = topsOf(Array(2_000).fill(null), () => HEIGHT);

test("every row of the view is drawn, and few others", () => {
  for (const top of [0, 1, 39, 40, 5_000, 79_600, 80_000]) {
    const [first, end] = rowsInView(tops, { top, height: 400 });
    assert.ok(tops[first] <= top, `${top}`);
    assert.ok(tops[end] >= Math.min(top + 400, tops.at(-1)), `${top}`);
    assert.ok(end - first < 30, `${top}: ${end - first}`);
  }
  assert.deepEqual(rowsInView(topsOf([], () => HEIGHT), { top: 0, height: 400 }), [0, 0]);
});

test("a row that is in view moves nothing; another one comes to the nearer edge", () => {
  const view = { top: 400, height: 400 };
  assert.equal(scrolledTo(tops, 12, view), 400);
  assert.equal(scrolledTo(tops, 5, view), 200);
  assert.equal(scrolledTo(tops, 30, view), 31 * HEIGHT - 400);
});
