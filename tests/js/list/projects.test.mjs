import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, projectInAddress } from "../../../static/js/chat/address.js";
import { ChatList } from "../../../static/js/chat/list/chat_list.js";
import { Projects, projectOfView, viewOf } from "../../../static/js/chat/list/projects.js";

const ID = "01920000-0000-7000-8000-0000000000b1";

test("projects are sorted by name, replaced by the server's list, and kept without one", () => {
  const projects = new Projects();
  projects.take([{ id: "k", name: "Kitchen" }, { id: "g", name: "garden" }]);
  assert.deepEqual(projects.all.value.map(({ id }) => id), ["g", "k"]);
  projects.take(undefined);
  assert.equal(projects.get("k").name, "Kitchen");
  projects.put({ id: "g", name: "Roses", instructions: "Answer as a gardener." });
  assert.deepEqual(projects.all.value, [{ id: "k", name: "Kitchen" }, { id: "g", name: "Roses" }]);
  projects.drop("k");
  assert.equal(projects.get("k"), null);
  assert.equal(projects.get(undefined), null);
  projects.take([]);
  assert.equal(projects.get("g"), null);
});

test("a chat begins in a project, is moved, and is fetched by a page that does not have it", () => {
  const asked = [];
  const list = new ChatList([{ id: "a", title: "a", updated_ms: 10, model: "m", project: "g" }], "10-0", null, (id) => asked.push(id));
  assert.equal(list.get("a").project, "g");
  list.apply("b", [["20-0", { type: "chat.created", chat: "b", title: "B", model: "m", project: "g" }]]);
  assert.equal(list.get("b").project, "g");
  list.apply("b", [["21-0", { type: "chat.moved", chat: "b", project: "k" }]]);
  assert.equal(list.get("b").project, "k");
  const before = list.get("b");
  list.apply("b", [["22-0", { type: "chat.moved", chat: "b", project: "k" }]]);
  assert.equal(list.get("b"), before);
  list.apply("b", [["23-0", { type: "chat.moved", chat: "b", project: "" }]]);
  assert.equal(list.get("b").project, null);
  list.apply("c", [["24-0", { type: "chat.moved", chat: "c", project: "g" }]]);
  assert.deepEqual(asked, ["c"]);
  assert.equal(list.snapshot().chats.find(({ id }) => id === "a").project, "g");
});

test("the row of the server says that a chat is in no project any more", () => {
  const list = new ChatList([{ id: "a", title: "a", updated_ms: 10, model: "m", project: "g" }], "10-0");
  list.put([{ id: "a", title: "a", updated_ms: 10, model: "m" }]);
  assert.equal(list.get("a").project, null);
});

test("addresses and views name a project", () => {
  assert.equal(addressOf(null, { project: ID }), `/#project-${ID}`);
  assert.equal(projectInAddress({ hash: `#project-${ID}` }), ID);
  for (const hash of ["", "#temporary", `#${ID}`, "#project-x"]) assert.equal(projectInAddress({ hash }), null);
  assert.equal(projectOfView(viewOf(ID)), ID);
  for (const view of ["open", "archived", "deleted"]) assert.equal(projectOfView(view), null);
});
