import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Connection } from "../../../static/js/chat/log/socket.js";
import { probeWebSocket } from "../../../static/js/chat/log/websocket_probe.js";

/** The server's end of the sockets that the connection opens. */
function setUp(t, { followed = null, hasHttp = false } = {}) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const sockets = [];
  const polls = [];
  class FakeSocket {
    readyState = 0;
    sent = [];
    constructor() {
      (this.isPoll ? polls : sockets).push(this);
    }
    send(raw) {
      this.sent.push(JSON.parse(raw));
    }
    close(code) {
      this.readyState = 3;
      this.closedWith = code;
    }
    open() {
      this.readyState = 1;
      this.onopen();
    }
    say(message) {
      this.onmessage({ data: JSON.stringify(message) });
    }
    end(code) {
      this.readyState = 3;
      this.onclose({ code });
    }
  }
  class FakePoll extends FakeSocket {
    get isPoll() {
      return true;
    }
  }
  const state = { followed, frames: [], live: [] };
  const handlers = {
    onFrame: (frame) => state.frames.push(frame),
    onLive: (chat) => state.live.push(chat),
    onReset: () => {},
    onWelcome: () => {},
    onUser: () => {},
    onProblem: () => {},
    onSomebodyElse: () => (state.isSomebodyElses = true),
    person: () => "anna",
    watchFrom: () => "5-0",
    followed: () => state.followed,
  };
  const connection = new Connection("ws://test/ws", handlers, FakeSocket, hasHttp ? async () => ({ PollSocket: FakePoll, probeWebSocket }) : null);
  connection.start(null);
  return { connection, sockets, polls, state, kind: () => connection.state.value.kind };
}

const settle = async () => {
  for (let round = 0; round < 10; round++) await Promise.resolve();
};

const LIVE = { type: "live", chat: null, cursor: "9-0" };
const WELCOME = { type: "welcome", cursor: "9-0" };

/** A connection that could open no WebSocket and polls over HTTP instead. */
async function blocked(t, options = {}) {
  const all = setUp(t, { hasHttp: true, ...options });
  for (const index of [0, 1]) {
    all.sockets[index].end(1006);
    mock.timers.tick(1_000);
  }
  await settle();
  all.polls[0].open();
  all.polls[0].say(WELCOME);
  all.polls[0].say(LIVE);
  if (options.followed) all.polls[0].say({ ...LIVE, chat: options.followed.chat });
  return all;
}

const types = (socket) => socket.sent.map((message) => message.type);

test("it says live only when everything asked for has caught up", (t) => {
  const { sockets, kind } = setUp(t, { followed: { chat: "c", after: "7-0" } });
  assert.equal(kind(), "connecting");
  sockets[0].open();
  assert.deepEqual(sockets[0].sent, [{ type: "watch", after: "5-0" }, { type: "follow", chat: "c", after: "7-0" }]);
  assert.equal(kind(), "catching-up");
  sockets[0].say({ type: "live", chat: null, cursor: "9-0" });
  assert.equal(kind(), "catching-up");
  sockets[0].say({ type: "live", chat: "c", cursor: "9-0" });
  assert.equal(kind(), "live");
});

test("a server that restarts is asked again at once, one that stays away with growing pauses", (t) => {
  const { connection, sockets, kind } = setUp(t);
  sockets[0].open();
  sockets[0].say({ type: "live", chat: null, cursor: "9-0" });
  sockets[0].end(1012);
  assert.equal(kind(), "offline");
  assert.ok(connection.state.value.nextTryAt - Date.now() <= 300);
  const since = connection.state.value.since;
  const pauses = [];
  for (let attempt = 1; attempt < 6; attempt++) {
    pauses.push(connection.state.value.nextTryAt - Date.now());
    mock.timers.tick(connection.state.value.nextTryAt - Date.now());
    assert.equal(sockets.length, attempt + 1);
    sockets.at(-1).end(1006);
  }
  assert.equal(connection.state.value.since, since);
  assert.ok(pauses.at(-1) > 4 * pauses[1]);
});

test("close codes say whether to come back", (t) => {
  for (const [code, expected] of [[4401, "signed-out"], [4400, "stopped"], [4403, "stopped"], [4408, "offline"], [4503, "offline"]]) {
    mock.timers.reset();
    const { sockets, kind } = setUp(t);
    sockets[0].open();
    sockets[0].end(code);
    assert.equal(kind(), expected, String(code));
    mock.timers.tick(60_000);
    assert.equal(sockets.length > 1, expected === "offline");
  }
});

test("too many connections: it comes back later", (t) => {
  const { connection, sockets } = setUp(t);
  sockets[0].end(4429);
  assert.ok(connection.state.value.nextTryAt - Date.now() >= 20_000);
});

test("a guest has become an account: it comes back, and is not signed out while the new cookie is on its way", (t) => {
  const { sockets, state, kind } = setUp(t);
  sockets[0].open();
  sockets[0].end(4409);
  for (let tries = 1; tries <= 3; tries += 1) {
    assert.equal(kind(), "offline");
    mock.timers.tick(5_000);
    assert.equal(sockets.length, tries + 1);
    if (tries < 3) sockets.at(-1).end(4401);
  }
  sockets.at(-1).open();
  sockets.at(-1).say({ ...WELCOME, user: { id: "the account" } });
  assert.equal(state.isSomebodyElses, true);
});

test("whoever has no new cookie is signed out soon", (t) => {
  const { sockets, kind } = setUp(t);
  sockets[0].open();
  sockets[0].end(4409);
  for (let tries = 0; tries < 10 && kind() === "offline"; tries += 1) {
    mock.timers.tick(5_000);
    sockets.at(-1).end(4401);
  }
  assert.equal(kind(), "signed-out");
  assert.ok(sockets.length < 6);
});

test("it notices a dead socket by itself", (t) => {
  const { sockets, kind } = setUp(t);
  sockets[0].open();
  sockets[0].say({ type: "welcome", cursor: "9-0", heartbeat_ms: 10_000 });
  sockets[0].say({ type: "live", chat: null, cursor: "9-0" });
  mock.timers.tick(10_000);
  assert.ok(types(sockets[0]).includes("ping"));
  mock.timers.tick(8_000);
  assert.equal(kind(), "offline");
  assert.equal(sockets[0].readyState, 3);
});

test("it answers the server's heartbeat and acknowledges what it took in", (t) => {
  const { sockets, state } = setUp(t);
  sockets[0].open();
  sockets[0].say({ type: "ping" });
  assert.ok(types(sockets[0]).includes("pong"));
  const frame = { chat: "c", entries: [["8-0", { type: "message.delta", message: "m", text: "x".repeat(40_000) }]] };
  sockets[0].say(frame);
  assert.deepEqual(state.frames, [frame]);
  const received = JSON.stringify({ type: "ping" }).length + JSON.stringify(frame).length;
  assert.deepEqual(sockets[0].sent.at(-1), { type: "ack", bytes: received });
});

test("another chat is followed over the same socket", (t) => {
  const { connection, sockets, state, kind } = setUp(t, { followed: { chat: "c", after: null } });
  sockets[0].open();
  state.followed = { chat: "d", after: "3-0" };
  connection.follow();
  sockets[0].say({ type: "live", chat: null, cursor: "9-0" });
  sockets[0].say({ type: "live", chat: "d", cursor: "9-0" });
  assert.equal(kind(), "live");
  assert.equal(sockets.length, 1);
  assert.deepEqual(sockets[0].sent.at(-1), { type: "follow", chat: "d", after: "3-0" });
});

test("while it doubts its socket it does not say live", (t) => {
  const { connection, sockets, kind } = setUp(t);
  sockets[0].open();
  sockets[0].say({ type: "live", chat: null, cursor: "9-0" });
  connection.suspect();
  assert.equal(kind(), "checking");
  sockets[0].say({ type: "pong" });
  assert.equal(kind(), "live");
  connection.suspect();
  mock.timers.tick(3_000);
  assert.equal(kind(), "offline");
});

test("where no WebSocket can be opened it connects over HTTP", async (t) => {
  const { connection, sockets, polls, kind } = await blocked(t);
  assert.equal(sockets.length, 2);
  assert.deepEqual(polls[0].sent[0], { type: "watch", after: "5-0" });
  assert.equal(kind(), "live");
  // It reports that WebSockets are blocked once another one has failed in the meantime.
  assert.equal(connection.state.value.isOverHttp, undefined);
  mock.timers.tick(200);
  sockets[2].end(1006);
  assert.deepEqual(connection.state.value, { kind: "live", isOverHttp: true });
});

for (const [what, begin] of Object.entries({
  "that is never opened": () => {},
  "that says nothing": (socket) => socket.open(),
  "that brings a welcome and takes nothing": (socket) => (socket.open(), socket.say(WELCOME)),
})) {
  test(`a WebSocket ${what} is given up after some seconds`, async (t) => {
    const { sockets, polls } = setUp(t, { hasHttp: true });
    begin(sockets[0]);
    mock.timers.tick(5_000);
    await settle();
    assert.equal(polls.length, 0);
    mock.timers.tick(1_000);
    mock.timers.tick(300);
    await settle();
    assert.equal(polls.length, 1);
  });
}

test("one that goes dead again and again is given up, and each time sooner", async (t) => {
  const { connection, sockets, polls, kind } = setUp(t, { hasHttp: true });
  sockets[0].open();
  sockets[0].say(WELCOME);
  sockets[0].say(LIVE);
  connection.suspect();
  mock.timers.tick(3_000);
  assert.equal(kind(), "offline");
  mock.timers.tick(300);
  sockets[1].open();
  sockets[1].say(WELCOME);
  sockets[1].say(LIVE);
  mock.timers.tick(3_000);
  assert.ok(types(sockets[1]).includes("ping"));
  mock.timers.tick(8_000);
  mock.timers.tick(300);
  await settle();
  assert.equal(polls.length, 1);
});

test("one that is cut at once each time is given up; one that lasts is not", async (t) => {
  const { sockets, polls } = setUp(t, { hasHttp: true });
  const live = (socket, forMs) => {
    socket.open();
    socket.say(LIVE);
    mock.timers.tick(forMs);
    socket.say({ type: "ping" });
    socket.end(1006);
    mock.timers.tick(1_000);
  };
  live(sockets[0], 2_000);
  live(sockets[1], 12_000);
  live(sockets[2], 2_000);
  await settle();
  assert.equal(polls.length, 0);
  live(sockets[3], 2_000);
  await settle();
  assert.equal(polls.length, 1);
});

test("while the server is away both are tried in turn, and a WebSocket comes back", async (t) => {
  const { connection, sockets, polls, kind } = setUp(t, { hasHttp: true });
  sockets[0].open();
  sockets[0].say(LIVE);
  mock.timers.tick(20_000);
  sockets[0].say({ type: "ping" });
  for (let tries = 0; tries < 8; tries++) {
    const last = [sockets.at(-1), polls.at(-1)].find((one) => one?.readyState < 2);
    last.end(1006);
    mock.timers.tick(connection.state.value.nextTryAt - Date.now());
    await settle();
  }
  assert.ok(polls.length >= 2 && sockets.length >= 4);
  if (polls.at(-1).readyState < 2) {
    polls.at(-1).open();
    polls.at(-1).say(LIVE);
    mock.timers.tick(200);
  }
  sockets.at(-1).readyState = 1;
  sockets.at(-1).onopen?.();
  sockets.at(-1).say(WELCOME);
  sockets.at(-1).say({ type: "pong" });
  sockets.at(-1).say(LIVE);
  assert.equal(kind(), "live");
  assert.equal(connection.state.value.isOverHttp, undefined);
});

test("a WebSocket takes over when messages go both ways, from where HTTP has come to", async (t) => {
  const { connection, sockets, polls, state, kind } = await blocked(t, { followed: { chat: "c", after: "7-0" } });
  mock.timers.tick(200);
  const socket = sockets[2];
  socket.readyState = 1;
  socket.say(WELCOME);
  assert.deepEqual(types(socket), ["ping"]);
  assert.equal(polls[0].readyState, 1);
  state.followed = { chat: "c", after: "12-0" };
  socket.say({ type: "pong" });
  assert.equal(polls[0].readyState, 3);
  assert.deepEqual(socket.sent.slice(1, 3), [{ type: "watch", after: "5-0" }, { type: "follow", chat: "c", after: "12-0" }]);
  socket.say(LIVE);
  socket.say({ ...LIVE, chat: "c" });
  assert.equal(kind(), "live");
  assert.equal(connection.state.value.isOverHttp, undefined);
  assert.equal(polls.length, 1);
});

test("a WebSocket is tried less and less often", async (t) => {
  const { sockets, polls } = await blocked(t);
  const pauses = [];
  for (let tries = 0; tries < 6; tries++) {
    const beganMs = Date.now();
    const count = sockets.length;
    for (; sockets.length === count; mock.timers.tick(100)) polls[0].say({ type: "pong" });
    pauses.push(Date.now() - beganMs);
    sockets.at(-1).end(1006);
  }
  assert.deepEqual(pauses, [200, 30_000, 60_000, 120_000, 240_000, 480_000]);
});

test("what ends a session ends it over HTTP as well", async (t) => {
  const { sockets, polls, kind } = await blocked(t);
  polls[0].end(4401);
  assert.equal(kind(), "signed-out");
  mock.timers.tick(60_000);
  assert.equal(polls.length, 1);
  assert.equal(sockets.length, 2);
});

test("a list that is read anew is waited for no longer", (t) => {
  const { sockets, kind } = setUp(t);
  sockets[0].open();
  sockets[0].say({ type: "reset" });
  assert.equal(kind(), "live");
});

test("a page takes nothing of somebody else who has signed in meanwhile", async (t) => {
  const frame = { chat: "of-ben", watch: true, entries: [["9-1", { type: "chat.created" }]] };
  for (const begin of [setUp, blocked]) {
    mock.timers.reset();
    const { sockets, polls, state, kind } = await begin(t);
    const socket = polls[0] ?? sockets[0];
    if (!polls[0]) socket.open();
    socket.say({ ...WELCOME, user: { id: "anna" } });
    assert.equal(state.isSomebodyElses, undefined);
    for (const message of [{ type: "user", user: { id: "ben" } }, frame]) socket.onmessage?.({ data: JSON.stringify(message) });
    assert.equal(state.isSomebodyElses, true);
    assert.deepEqual(state.frames, []);
    assert.equal(socket.readyState, 3);
    assert.equal(kind(), "idle");
    const count = sockets.length + polls.length;
    mock.timers.tick(120_000);
    assert.equal(sockets.length + polls.length, count);
  }
});
