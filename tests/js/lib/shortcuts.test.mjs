import assert from "node:assert/strict";
import { test } from "node:test";
import { actions } from "../../../static/js/chat/actions.js";
import { recencyGroup } from "../../../static/js/chat/lib/format.js";
import { isPressed, isTyping, keyNames } from "../../../static/js/chat/lib/shortcuts.js";

const press = (key, held = {}) => ({ key, code: "", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });

test("a combination is pressed exactly", () => {
  assert.ok(isPressed(press("k", { ctrlKey: true }), "mod+k", false));
  assert.ok(!isPressed(press("k", { ctrlKey: true }), "mod+k", true));
  assert.ok(isPressed(press("k", { metaKey: true }), "mod+k", true));
  assert.ok(!isPressed(press("k", { ctrlKey: true, shiftKey: true }), "mod+k", false));
  assert.ok(!isPressed(press("k"), "mod+k", false));
  assert.ok(isPressed(press("O", { ctrlKey: true, shiftKey: true }), "mod+shift+o", false));
  assert.ok(isPressed(press("®", { altKey: true, code: "KeyR" }), "alt+r", true));
});

test("a character is taken as it was typed, whatever keys that takes", () => {
  assert.ok(isPressed(press("?", { shiftKey: true }), "?", false));
  assert.ok(isPressed(press("/"), "/", false));
  assert.ok(isPressed(press("/", { shiftKey: true }), "/", false));
  assert.ok(!isPressed(press("?", { ctrlKey: true, shiftKey: true }), "?", false));
});

test("typing is no command", () => {
  const inside = (selector) => ({ closest: (asked) => (asked.includes(selector) ? {} : null) });
  assert.ok(isTyping({ target: inside("textarea") }));
  assert.ok(isTyping({ target: inside("nothing"), isComposing: true }));
  assert.ok(!isTyping({ target: { closest: () => null } }));
  assert.ok(!isTyping({ target: null }));
});

test("no two actions have the same keys, and every key has a name", () => {
  const used = actions.filter((action) => action.keys).map((action) => action.keys);
  assert.equal(new Set(used).size, used.length);
  for (const keys of used) assert.ok(keyNames(keys).every((name) => name.length > 0));
  assert.equal(new Set(actions.map((action) => action.id)).size, actions.length);
});

test("days are counted by the calendar", () => {
  const names = { today: "t", yesterday: "y", week: "w", month: "m" };
  const now = new Date(2026, 2, 30, 0, 30).getTime();
  const at = (...fields) => recencyGroup(new Date(...fields).getTime(), now, names);
  assert.equal(at(2026, 2, 30, 0, 0), "t");
  assert.equal(at(2026, 2, 29, 0, 0), "y");
  assert.equal(at(2026, 2, 28, 23, 59), "w");
  assert.equal(at(2026, 2, 23, 0, 0), "w");
  assert.equal(at(2026, 2, 22, 23, 59), "m");
  assert.match(at(2026, 0, 5), /2026/);
});
