import assert from "node:assert/strict";
import { test } from "node:test";
import { atOnceMs, backoffMs } from "../../../static/js/chat/lib/backoff.js";
import { recencyGroup } from "../../../static/js/chat/lib/format.js";
import { isAfter, uuid7 } from "../../../static/js/chat/lib/ids.js";
import { matchesFingerprint } from "../../../static/js/chat/log/verify.js";

test("ids are UUIDs of version 7 that sort by time", () => {
  const ids = [1, 2 ** 32, 1_700_000_000_000, 2 ** 47].map((ms) => uuid7(ms));
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.deepEqual(ids.toSorted(), ids);
  assert.equal(parseInt(ids[2].slice(0, 13).replace("-", ""), 16), 1_700_000_000_000);
  assert.equal(new Set(Array.from({ length: 1000 }, () => uuid7(5))).size, 1000);
});

test("entry ids are compared as two numbers", () => {
  for (const [later, earlier] of [["2-0", "1-9"], ["10-0", "9-0"], ["5-10", "5-9"], ["1-0", null]]) {
    assert.ok(isAfter(later, earlier));
    assert.ok(!isAfter(earlier ?? "0-0", later));
  }
  assert.ok(!isAfter("5-1", "5-1"));
});

test("pauses grow, are random, and end at half a minute", () => {
  assert.equal(backoffMs(0, () => 0), 250);
  assert.equal(backoffMs(3, () => 1), 4_000);
  assert.equal(backoffMs(50, () => 1), 30_000);
  assert.ok(atOnceMs(() => 1) <= 300);
});

test("a text is checked by its length in bytes and its SHA-256", async () => {
  const sha256 = "3d3d3e4e5e4b1b02edeb4e1bb2fb6a5d90d38e2b8ad3bb9b1d7dcbf9ebf1ad2a";
  const digest = Buffer.from(await crypto.subtle.digest("SHA-256", new TextEncoder().encode("é🌊"))).toString("hex");
  assert.ok(await matchesFingerprint({ text: "é🌊", length: 6, sha256: digest }));
  assert.ok(!(await matchesFingerprint({ text: "é🌊", length: 3, sha256: digest })));
  assert.ok(!(await matchesFingerprint({ text: "é🌊", length: 6, sha256 })));
  assert.ok(await matchesFingerprint({ text: "still going", length: null, sha256: null }));
});

test("chats are grouped by how long ago they were used", () => {
  const groups = { today: "t", yesterday: "y", week: "w", month: "m" };
  const noon = new Date(2026, 5, 15, 12).getTime();
  const daysAgo = (days) => recencyGroup(noon - days * 86_400_000, noon, groups);
  assert.deepEqual([0, 1, 3, 20].map(daysAgo), ["t", "y", "w", "m"]);
  assert.match(daysAgo(80), /2026/);
});
