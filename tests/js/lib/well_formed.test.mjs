import assert from "node:assert/strict";
import { test } from "node:test";
import { api } from "../../../static/js/chat/api.js";

test("half of a character is sent as a replacement character, because it is not valid Unicode", async (t) => {
  const bodies = [];
  globalThis.document = { cookie: "" };
  t.after(() => delete globalThis.document);
  t.mock.method(globalThis, "fetch", async (_, { body }) => {
    bodies.push(body);
    return new Response(null, { status: 204 });
  });
  await api.send("c", { id: "m", text: "a\ud800b", parent: null });
  await api.rename("c", "\udc00 title", "1");
  await api.instruct("c", "short\ud83d");
  await api.saveDraft({ text: "\ude00", pastes: ["\ud83d\ude00", "\ud83d"] });
  assert.deepEqual(bodies.map((body) => JSON.parse(body)), [
    { id: "m", text: "a\ufffdb", parent: null },
    { title: "\ufffd title" },
    { instructions: "short\ufffd" },
    { text: "\ufffd", pastes: ["\ud83d\ude00", "\ufffd"] },
  ]);
});
