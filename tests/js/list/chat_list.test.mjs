import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatList, isUnread, startTitle } from "../../../static/js/chat/list/chat_list.js";

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

test("what is shown before the log says so can be taken back", () => {
  const list = new ChatList([listed("a", 10), listed("b", 9)], "10-0");
  const takeBack = list.set("a", { deleted_ms: 20 });
  assert.deepEqual(list.sorted.value.map((chat) => chat.id), ["b"]);
  assert.deepEqual(list.deleted.value.map((chat) => chat.id), ["a"]);
  takeBack();
  assert.deepEqual(list.sorted.value.map((chat) => chat.id), ["a", "b"]);
});

test("places in the list: pinned, archived, deleted and restored", () => {
  const list = new ChatList([listed("a", 10)], "10-0");
  list.apply("a", [["11-0", { type: "chat.pinned", pinned: true }]]);
  assert.equal(list.get("a").pinned_ms, 11);
  list.apply("a", [["12-0", { type: "chat.archived", archived: true }]]);
  assert.deepEqual([list.sorted.value.length, list.archived.value.length], [0, 1]);
  list.apply("a", [["13-0", { type: "chat.archived", archived: false }], ["14-0", { type: "chat.deleted" }]]);
  assert.deepEqual([list.sorted.value.length, list.deleted.value.length], [0, 1]);
  list.apply("a", [["15-0", { type: "chat.restored" }], ["16-0", { type: "chat.pinned", pinned: false }]]);
  assert.deepEqual([list.sorted.value.length, list.get("a").pinned_ms], [1, null]);
});

test("an answer that ended is unread until its end was seen", () => {
  const list = new ChatList([listed("a", 10)], "10-0");
  list.apply("a", [["20-0", { type: "message.completed", message: "r" }]]);
  assert.ok(isUnread(list.get("a")));
  list.apply("a", [["21-0", { type: "chat.read", until_ms: 19 }]]);
  assert.ok(isUnread(list.get("a")));
  list.apply("a", [["22-0", { type: "chat.read", until_ms: 20 }], ["23-0", { type: "chat.read", until_ms: 5 }]]);
  assert.ok(!isUnread(list.get("a")));
});

test("a chat that is not in the list is asked for when something happens in it", () => {
  const asked = [];
  const list = new ChatList([listed("a", 10)], "10-0", "place", (id) => asked.push(id));
  list.apply("z", [["20-0", { type: "message.completed", message: "r" }]]);
  list.apply("y", [["20-1", { type: "chat.read", until_ms: 1 }]]);
  assert.deepEqual(asked, ["z"]);
  list.add("open", [listed("z", 5)], null);
  assert.deepEqual(list.sorted.value.map((chat) => chat.id), ["a", "z"]);
  assert.equal(list.next.value.open, null);
});

test("the first title is the one that the server gives", () => {
  assert.equal(startTitle("  A short\n one "), "A short one");
  assert.equal(startTitle("Why?\n\n```pasted\nin ```pasted\n```"), "Why? in ```pasted");
  assert.equal(startTitle("````pasted\n```\n````"), "````pasted ``` ````");
  assert.equal(startTitle(`${"word ".repeat(11)}overlong tail`), `${"word ".repeat(11).trim()}…`);
  assert.equal(startTitle("😀".repeat(61)), `${"😀".repeat(60)}…`);
});

test("a temporary chat is in no list and in no copy, until it is kept", () => {
  const asked = [];
  const list = new ChatList([listed("a", 10), { ...listed("t", 20), temporary: true }], "10-0", null, (id) => asked.push(id));
  list.apply("b", [["30-0", { type: "chat.created", chat: "b", title: "", model: "m", temporary: true }]]);
  list.apply("b", [["30-1", { type: "message.created", message: "r", role: "assistant" }]]);
  for (const view of [list.sorted, list.archived, list.deleted]) assert.ok(view.value.every((chat) => chat.id === "a"));
  assert.deepEqual(list.snapshot().chats.map((chat) => chat.id), ["a"]);
  assert.deepEqual(asked, []);
  list.apply("b", [["31-0", { type: "chat.kept", chat: "b", title: "Bee" }]]);
  assert.deepEqual(list.sorted.value.map((chat) => chat.title), ["Bee", "a"]);
  assert.equal(list.snapshot().chats.length, 2);
  // A page that does not have the chat asks for it.
  list.apply("c", [["32-0", { type: "chat.kept", chat: "c", title: "Sea" }]]);
  assert.deepEqual(asked, ["c"]);
});
