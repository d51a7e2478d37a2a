import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { PollSocket } from "../../../static/js/chat/log/poll_socket.js";

const settle = async () => {
  for (let round = 0; round < 20; round++) await Promise.resolve();
};

/** A server that responds when the test lets it, and a page that polls it. */
function setUp(t, { page = { visibilityState: "visible", hasFocus: () => true } } = {}) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const asked = [];
  const ask = (address, { signal }) =>
    new Promise((resolve, reject) => {
      const query = Object.fromEntries(new URL(address, "http://test").searchParams);
      const answer = (body, status = 200, headers = {}) => resolve(Response.json(body, { status, headers }));
      asked.push({ query, signal, answer, cut: () => reject(new TypeError("cut")) });
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  const heard = [];
  const closed = [];
  const socket = new PollSocket("ws://test/ws", { ask, page });
  socket.onmessage = ({ data }) => data.type !== "pong" && heard.push(data);
  socket.onclose = ({ code }) => closed.push(code);
  const go = async (ms = 0) => {
    mock.timers.tick(ms);
    await settle();
    mock.timers.tick(0);
    await settle();
  };
  const say = async (...messages) => {
    for (const message of messages) socket.send(JSON.stringify(message));
    await go();
  };
  const answer = async (messages, more = {}) => {
    asked.at(-1).answer({ state: "s1", cursor: "9-0", messages, ...more });
    await new Promise((resolve) => setImmediate(resolve));
    await go();
  };
  const refuse = async (status, error, headers) => {
    asked.at(-1).answer({ error }, status, headers);
    await new Promise((resolve) => setImmediate(resolve));
    await go();
  };
  return { asked, heard, closed, socket, go, say, answer, refuse };
}

const entry = (id, text = "x") => [id, { type: "message.delta", message: "m", text }];
const WATCH = { type: "watch", after: "5-0" };
const FOLLOW = { type: "follow", chat: "c", after: "7-0" };
const CAUGHT_UP = [{ type: "live", chat: null, cursor: "9-0" }, { type: "live", chat: "c", cursor: "8-0" }];
const WELCOME = { type: "welcome", cursor: "9-0", user: { id: "u" }, settings: {}, balance: null };

test("what is asked for together is one request, and catches up before it waits", async (t) => {
  const { asked, heard, go, say, answer } = setUp(t);
  await go();
  await say(WATCH, FOLLOW);
  assert.equal(asked.length, 1);
  assert.deepEqual(asked[0].query, { watch: "5-0", chat: "c", after: "7-0", wait: "0", state: "" });
  await answer([WELCOME, { chat: "c", entries: [entry("8-0")] }, ...CAUGHT_UP]);
  assert.deepEqual(heard, [WELCOME, { chat: "c", entries: [entry("8-0")] }, ...CAUGHT_UP]);
  assert.deepEqual(asked[1].query, { watch: "9-0", chat: "c", after: "8-0", wait: "20", state: "s1" });
});

test("it goes on from what it was given, and tells only once that it has caught up", async (t) => {
  const { asked, heard, go, say, answer } = setUp(t);
  await go();
  await say(WATCH, FOLLOW);
  await answer([WELCOME, ...CAUGHT_UP]);
  heard.length = 0;
  const frames = [{ chat: "c", entries: [entry("10-0"), entry("12-0")] }, { watch: true, chat: "d", entries: [entry("11-0")] }];
  await answer([...frames, { type: "live", chat: null, cursor: "11-0" }, { type: "live", chat: "c", cursor: "12-0" }]);
  assert.deepEqual(heard, frames);
  assert.equal(asked.at(-1).query.watch, "11-0");
  assert.equal(asked.at(-1).query.after, "12-0");
});

test("another chat ends the request that waits, and what was on its way is not taken", async (t) => {
  const { asked, heard, go, say, answer } = setUp(t);
  await go();
  await say(WATCH, FOLLOW);
  await answer([WELCOME, ...CAUGHT_UP]);
  const waiting = asked.at(-1);
  await say({ type: "follow", chat: "d", after: null });
  assert.equal(waiting.signal.aborted, true);
  assert.deepEqual(asked.at(-1).query, { watch: "9-0", chat: "d", wait: "0", state: "s1" });
  heard.length = 0;
  waiting.answer({ state: "s1", cursor: "9-0", messages: [{ chat: "c", entries: [entry("9-0")] }] });
  await go();
  assert.deepEqual(heard, []);
});

test("a ping is answered by a request that does not wait", async (t) => {
  const { asked, socket, go, say, answer } = setUp(t);
  await go();
  await say(WATCH);
  await answer([WELCOME, CAUGHT_UP[0]]);
  assert.equal(asked.at(-1).query.wait, "20");
  const pongs = [];
  socket.onmessage = ({ data }) => pongs.push(data.type);
  await say({ type: "ping" });
  assert.equal(asked.at(-1).query.wait, "0");
  await answer([CAUGHT_UP[0]]);
  assert.deepEqual(pongs, ["pong"]);
});

test("a tab that nobody sees holds no request; one without the focus holds a short one", async (t) => {
  const page = { visibilityState: "hidden", hasFocus: () => false };
  const { asked, go, say, answer } = setUp(t, { page });
  await go();
  await say(WATCH);
  await answer([WELCOME, CAUGHT_UP[0]]);
  assert.equal(asked.length, 1);
  await go(19_000);
  assert.equal(asked.length, 1);
  await go(1_000);
  assert.equal(asked.length, 2);
  assert.equal(asked[1].query.wait, "0");
  page.visibilityState = "visible";
  await answer([CAUGHT_UP[0]]);
  assert.equal(asked.at(-1).query.wait, "4");
});

test("a request that is cut off for its silence is asked shorter", async (t) => {
  const { asked, closed, go, say, answer } = setUp(t);
  await go();
  await say(WATCH);
  await answer([WELCOME, CAUGHT_UP[0]]);
  for (const wait of ["20", "10", "5", "2"]) {
    assert.equal(asked.at(-1).query.wait, wait);
    await go(wait === "2" ? 0 : 1_600);
    asked.at(-1).cut();
    await go();
  }
  assert.deepEqual(closed, [1006]);
});

test("a server that is away ends it", async (t) => {
  for (const [status, code] of [[401, 4401], [403, 4403], [400, 4400], [409, 4409], [429, 4429], [503, 4503], [404, 1006]]) {
    mock.timers.reset();
    const { closed, go, say, refuse } = setUp(t);
    await go();
    await say(WATCH);
    await refuse(status, { code: "any", message: "" });
    assert.deepEqual(closed, [code], String(status));
  }
});

test("a suspended person is told so", async (t) => {
  const { closed, heard, go, say, refuse } = setUp(t);
  await go();
  await say(WATCH);
  await refuse(403, { code: "suspended", message: "No." });
  assert.deepEqual(heard, [{ type: "error", code: "suspended", message: "No.", chat: null }]);
  assert.deepEqual(closed, [4410]);
});

test("asking too often makes it wait, not give up", async (t) => {
  const { asked, closed, go, say, answer, refuse } = setUp(t);
  await go();
  await say(WATCH);
  await answer([WELCOME, CAUGHT_UP[0]]);
  const count = asked.length;
  await refuse(429, { code: "too_many_requests", message: "" }, { "Retry-After": "7" });
  await go(6_900);
  assert.equal(asked.length, count);
  await go(200);
  assert.equal(asked.length, count + 1);
  assert.deepEqual(closed, []);
});

test("a chat that is refused is asked for once", async (t) => {
  const { asked, heard, go, say, answer } = setUp(t);
  await go();
  await say(WATCH, FOLLOW);
  const error = { type: "error", code: "chat_not_found", message: "", chat: "c" };
  await answer([WELCOME, CAUGHT_UP[0], error]);
  assert.deepEqual(heard.at(-1), error);
  assert.deepEqual(asked.at(-1).query, { watch: "9-0", wait: "20", state: "s1" });
});

test("what one has set is told when it changes; a list too far behind is read anew", async (t) => {
  const { asked, heard, go, say, answer } = setUp(t);
  await go();
  await say(WATCH);
  await answer([WELCOME, { type: "reset" }], { cursor: "50-0" });
  assert.equal(asked.at(-1).query.watch, "50-0");
  heard.length = 0;
  await answer([{ ...WELCOME, balance: { level: "low" } }, CAUGHT_UP[0]], { state: "s2" });
  assert.deepEqual(heard, [{ type: "user", user: { id: "u" }, settings: {} }, { type: "balance", balance: { level: "low" } }]);
  assert.equal(asked.at(-1).query.state, "s2");
  const projects = [{ id: "g", name: "Garden" }];
  heard.length = 0;
  await answer([{ ...WELCOME, projects }, CAUGHT_UP[0]], { state: "s3" });
  assert.deepEqual(heard[1], { type: "projects", projects });
});

test("what comes with the word of somebody else is not told once it is closed for that", async (t) => {
  const { asked, heard, socket, go, say, answer } = setUp(t);
  await go();
  await say(WATCH);
  await answer([WELCOME, CAUGHT_UP[0]]);
  const tell = socket.onmessage;
  socket.onmessage = (event) => {
    tell(event);
    if (event.data.user?.id === "ben") socket.close();
  };
  heard.length = 0;
  const frame = { watch: true, chat: "of-ben", entries: [entry("10-0")] };
  await answer([{ ...WELCOME, user: { id: "ben" }, balance: { level: "low" } }, frame, CAUGHT_UP[0]], { state: "s2" });
  assert.deepEqual(heard, [{ type: "user", user: { id: "ben" }, settings: {} }]);
  assert.equal(asked.length, 2);
});

test("closed, it asks no more", async (t) => {
  const { asked, closed, socket, go, say } = setUp(t);
  await go();
  await say(WATCH);
  socket.close();
  await go(60_000);
  assert.equal(asked.length, 1);
  assert.equal(asked[0].signal.aborted, true);
  assert.deepEqual(closed, []);
});
