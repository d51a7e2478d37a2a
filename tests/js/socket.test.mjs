import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Connection } from "../../static/js/chat/socket.js";

/** A server's end of the sockets that the connection opens. */
function setUp(t, { followed = null } = {}) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const sockets = [];
  class FakeSocket {
    readyState = 0;
    sent = [];
    constructor() {
      sockets.push(this);
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
  const state = { followed, frames: [], live: [] };
  const handlers = {
    onFrame: (frame) => state.frames.push(frame),
    onLive: (chat) => state.live.push(chat),
    onReset: () => {},
    onWelcome: () => {},
    onProblem: () => {},
    watchFrom: () => "5-0",
    followed: () => state.followed,
  };
  const connection = new Connection("ws://test/ws", handlers, FakeSocket);
  connection.start(null);
  return { connection, sockets, state, kind: () => connection.state.value.kind };
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
