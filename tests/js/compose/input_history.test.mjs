import assert from "node:assert/strict";
import { test } from "node:test";
import { InputHistory } from "../../../static/js/chat/compose/input_history.js";

test("up goes back from an empty field, down comes forward to it again", () => {
  const history = new InputHistory(() => ["one", "two", "two"]);
  assert.equal(history.up(""), "two");
  assert.equal(history.up("two"), "one");
  assert.equal(history.up("one"), null);
  assert.equal(history.down("one"), "two");
  assert.equal(history.down("two"), "");
  assert.equal(history.down(""), null);
});

test("what one is writing is left alone", () => {
  const history = new InputHistory(() => ["one", "two"]);
  assert.equal(history.up("mine"), null);
  assert.equal(history.up(""), "two");
  assert.equal(history.up("two, changed"), null);
  assert.equal(history.down("two, changed"), null);
});

test("an entry that is shown in another form is known again", () => {
  const history = new InputHistory(() => ["one", "two "], (entry) => entry.trim());
  assert.equal(history.up(""), "two ");
  assert.equal(history.up("two"), "one");
  assert.equal(history.down("one"), "two ");
});
