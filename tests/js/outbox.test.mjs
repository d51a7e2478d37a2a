import assert from "node:assert/strict";
import { test } from "node:test";
import { Outbox } from "../../static/js/chat/outbox.js";

/** A network that answers the requests with what the test says, in order. */
function setUp(t, answers) {
  const requests = [];
  globalThis.document = { cookie: "csrftoken=abc" };
  t.mock.method(globalThis, "fetch", async (path, options) => {
    requests.push({ path, body: JSON.parse(options.body), headers: options.headers });
    const answer = answers.shift();
    if (!answer) throw new TypeError("network");
    return Response.json(answer.body ?? {}, { status: answer.status });
  });
  const wake = new EventTarget();
  const seen = { sent: [], refused: [] };
  const outbox = new Outbox({
    wake,
    onSent: (item) => seen.sent.push(item.text),
    onWait: () => setTimeout(() => wake.dispatchEvent(new Event("wake"))),
    onRefused: (item, error) => seen.refused.push([item.text, error.message]),
  });
  return { outbox, requests, seen };
}

const accepted = (reply) => ({ status: 202, body: { reply } });

async function until(condition) {
  for (let tries = 0; !condition(); tries++) {
    assert.ok(tries < 500, "it did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const message = (text, more = {}) => ({ chat: "c", text, model: "m", edit: false, parentNow: (reply) => reply ?? "p0", ...more });

test("it sends again with the same id until the server has answered", async (t) => {
  const { outbox, requests, seen } = setUp(t, [null, { status: 503 }, accepted("r1")]);
  const id = outbox.add(message("hello"));
  await until(() => seen.sent.length === 1);
  assert.equal(requests.length, 3);
  assert.deepEqual(new Set(requests.map(({ body }) => JSON.stringify(body))).size, 1);
  assert.deepEqual(requests[0].body, { id, text: "hello", model: "m", parent: "p0", edit: false });
  assert.equal(requests[0].headers["X-CSRFToken"], "abc");
  assert.deepEqual(seen.sent, ["hello"]);
  assert.equal(outbox.of("c")[0].status, "sent");
  outbox.confirm(id);
  assert.deepEqual(outbox.of("c"), []);
});

test("messages of a chat go out in order, each after the answer to the one before", async (t) => {
  const { outbox, requests, seen } = setUp(t, [null, accepted("r1"), accepted("r2")]);
  outbox.add(message("one"));
  outbox.add(message("two"));
  await until(() => seen.sent.length === 2);
  assert.deepEqual(requests.map(({ body }) => [body.text, body.parent]), [["one", "p0"], ["one", "p0"], ["two", "r1"]]);
});

test("what the server refuses goes back with its sentence, and the next one passes", async (t) => {
  const { outbox, seen } = setUp(t, [
    { status: 413, body: { error: { code: "message_too_long", message: "Too long." } } },
    accepted("r2"),
  ]);
  outbox.add(message("long"));
  outbox.add(message("short"));
  await until(() => seen.sent.length === 1);
  assert.deepEqual(seen.refused, [["long", "Too long."]]);
  assert.deepEqual(seen.sent, ["short"]);
  assert.deepEqual(outbox.of("c").map((item) => item.text), ["short"]);
});
