import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatList } from "../../static/js/chat/chat_list.js";

const listed = (id, updated_ms, answering = false) => ({ id, title: id, updated_ms, model: "m", answering });
const answering = (list, id) => list.get(id).answering.size > 0;

test("it is live: created, renamed, answering, deleted", () => {
  const list = new ChatList([listed("a", 10)], "10-0");
  list.apply("b", [
    ["20-0", { type: "chat.created", chat: "b", title: "B", model: "m" }],
    ["20-1", { type: "message.created", message: "r", role: "assistant", parent: "q", model: "n" }],
  ]);
  assert.deepEqual(list.sorted.value.map((chat) => chat.id), ["b", "a"]);
  assert.ok(answering(list, "b"));
  assert.equal(list.get("b").model, "n");
  list.apply("b", [["21-0", { type: "message.completed", message: "r" }], ["21-1", { type: "chat.renamed", title: "Bee" }]]);
  assert.ok(!answering(list, "b"));
  assert.equal(list.get("b").title, "Bee");
  list.apply("b", [["22-0", { type: "chat.deleted", chat: "b" }]]);
  assert.deepEqual(list.sorted.value.map((chat) => chat.id), ["a"]);
});

test("an answer that ran when the page was made ends with the next end", () => {
  const list = new ChatList([listed("a", 10, true)], "10-0");
  assert.ok(answering(list, "a"));
  list.apply("a", [["11-0", { type: "message.completed", message: "unknown" }]]);
  assert.ok(!answering(list, "a"));
});

test("being told twice changes nothing, and the watch resumes a little earlier", () => {
  const list = new ChatList([], null);
  assert.equal(list.resumeFrom, "0-0");
  const events = [
    ["9000-0", { type: "chat.created", chat: "a", title: "A", model: "m" }],
    ["9000-1", { type: "message.created", message: "r", role: "assistant", model: "m" }],
    ["9001-0", { type: "message.error", message: "r" }],
  ];
  list.apply("a", events);
  const once = list.get("a");
  list.apply("a", events);
  assert.deepEqual(list.get("a"), once);
  list.advance("9001-0");
  list.advance("8000-0");
  assert.equal(list.resumeFrom, "4001-0");
});

test("a chat being deleted is hidden until that is taken back", () => {
  const list = new ChatList([listed("a", 10), listed("b", 20)], "20-0");
  list.hide("b");
  assert.deepEqual(list.sorted.value.map((chat) => chat.id), ["a"]);
  list.unhide("b");
  assert.deepEqual(list.sorted.value.map((chat) => chat.id), ["b", "a"]);
});
