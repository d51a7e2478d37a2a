import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatList } from "../../../static/js/chat/list/chat_list.js";
import { UnseenEnds } from "../../../static/js/chat/list/unseen_ends.js";

const listed = (id) => ({ id, title: id, updated_ms: 10, model: "m", answering: true });
const ended = (ms) => [[`${ms}-0`, { type: "message.completed", message: "r" }]];

function setUp(t) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const page = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const list = new ChatList([listed("a"), listed("b")], "10-0");
  const told = [];
  const unseen = new UnseenEnds(list, {
    end: (chat) => told.push(`end ${chat.id}`),
    seen: (ids) => told.push(`seen ${ids}`),
    back: () => told.push("back"),
  }, page);
  unseen.start();
  const turn = (state) => {
    page.visibilityState = state;
    page.dispatchEvent(new Event("visibilitychange"));
  };
  return { list, unseen, told, turn, pass: (ms) => t.mock.timers.tick(ms) };
}

test("answers that end while the page is hidden count until it is seen", (t) => {
  const { list, unseen, told, turn, pass } = setUp(t);
  list.apply("a", ended(20));
  assert.equal(unseen.count.value, 0, "the page was looked at");
  turn("hidden");
  assert.equal(unseen.count.value, 0);
  list.apply("b", ended(30));
  list.apply("a", ended(31));
  assert.equal(unseen.count.value, 2);
  pass(5_000);
  assert.deepEqual(told, ["end b", "end a"]);
  turn("visible");
  assert.equal(unseen.count.value, 0);
  assert.deepEqual(told.slice(2), ["seen a,b", "back"]);
  turn("hidden");
  assert.equal(unseen.count.value, 0, "what was seen does not come back");
});

test("a chat that is read on another device is not unseen, and nothing tells of it", (t) => {
  const { list, unseen, told, turn, pass } = setUp(t);
  turn("hidden");
  list.apply("a", ended(20));
  assert.equal(unseen.count.value, 1);
  list.apply("a", [["21-0", { type: "chat.read", until_ms: 20 }]]);
  assert.equal(unseen.count.value, 0);
  pass(5_000);
  assert.deepEqual(told, ["seen a"]);
});

test("a second answer in the same chat is told once more, the first one not again", (t) => {
  const { list, told, turn, pass } = setUp(t);
  turn("hidden");
  list.apply("a", ended(20));
  pass(5_000);
  list.apply("b", [["21-0", { type: "chat.renamed", title: "B" }]]);
  list.apply("a", ended(22));
  pass(5_000);
  assert.deepEqual(told, ["end a", "end a"]);
});

test("coming back is told only if an answer was being written as the page was left", (t) => {
  const { list, told, turn } = setUp(t);
  turn("hidden");
  turn("visible");
  assert.deepEqual(told, ["back"]);
  for (const id of ["a", "b"]) list.apply(id, ended(20));
  turn("hidden");
  turn("visible");
  assert.deepEqual(told, ["back"]);
});
