import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Drafts, newPlace } from "../../../static/js/chat/compose/drafts.js";

class Storage {
  #map = new Map();
  get length() {
    return this.#map.size;
  }
  key(index) {
    return [...this.#map.keys()][index];
  }
  getItem(key) {
    return this.#map.get(key) ?? null;
  }
  setItem(key, value) {
    this.#map.set(key, value);
  }
  removeItem(key) {
    this.#map.delete(key);
  }
}

function setUp(t, { storage = new Storage(), owner = "alice", answers = [], isTemporary = () => false } = {}) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.after(() => mock.timers.reset());
  const puts = [];
  const state = { owner, answers };
  const put = async (body) => {
    puts.push(body);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer ?? { draft: body };
  };
  const asked = [];
  const ask = async (chat) => (asked.push(chat), state.there ?? { drafts: [] });
  return { drafts: new Drafts({ owner: () => state.owner, put, ask, storage, isTemporary, tab: "here" }), puts, asked, storage, state };
}

const rest = async () => {
  for (let turn = 0; turn < 20; turn++) await null;
};
const write = (text, pastes = []) => ({ text, pastes });

test("it is kept at once and stored when one pauses, or after a while of writing on", async (t) => {
  const { drafts, puts, storage } = setUp(t);
  drafts.set("c", write("a"));
  assert.equal(new Drafts({ owner: () => "alice", storage, tab: "b" }).get("c").text, "a");
  mock.timers.tick(999);
  assert.equal(puts.length, 0);
  mock.timers.tick(1);
  assert.deepEqual(puts, [{ chat: "c", text: "a", pastes: [], age_ms: 1000, seen_ms: null, tab: "here", was: "7-35e32059" }]);
  await rest();
  for (let key = 0; key < 10; key++) {
    drafts.set("c", write("b".repeat(key + 1)));
    mock.timers.tick(600);
    await rest();
  }
  assert.ok(puts.length >= 2);
});

test("what comes from another device is taken, but not while one is writing", async (t) => {
  const { drafts } = setUp(t);
  drafts.receive({ chat: "c", ...write("from there"), tab: "there" });
  assert.equal(drafts.get("c").text, "from there");
  assert.deepEqual(drafts.arrived.value, { chat: "c" });
  drafts.set("c", write("mine"));
  drafts.receive({ chat: "c", ...write("theirs"), tab: "there" });
  assert.equal(drafts.get("c").text, "mine");
  mock.timers.tick(1_000);
  await rest();
  drafts.receive({ chat: "c", ...write("theirs"), tab: "there" }); // Stored, but one is still at it.
  assert.equal(drafts.get("c").text, "mine");
  mock.timers.tick(5_000); // One has paused.
  assert.equal(drafts.get("c").text, "theirs");
  drafts.receive({ chat: "c", ...write("my own echo"), tab: "here" });
  assert.equal(drafts.get("c").text, "theirs");
});

test("what is written over it elsewhere before we hear that it is stored is not lost", async (t) => {
  const { drafts, state } = setUp(t);
  let answer;
  state.answers.push(new Promise((done) => (answer = done)));
  drafts.set("c", write("mine"));
  mock.timers.tick(1_000);
  drafts.receive({ chat: "c", ...write(""), written_ms: 20, tab: "there" });
  answer({ draft: { chat: "c", ...write("mine"), written_ms: 10 } });
  await rest();
  assert.equal(drafts.get("c").text, "mine"); // One is still at it.
  mock.timers.tick(5_000);
  assert.equal(drafts.get("c").text, "");
});

test("offline it stays to be stored, and wins over what the page brings", async (t) => {
  const away = new Error("away");
  const { drafts, puts, storage } = setUp(t, { answers: [away, away] });
  drafts.set(null, write("offline"));
  mock.timers.tick(1_000);
  await rest();
  const next = setUpAgain(storage);
  next.drafts.load([{ chat: null, ...write("older") }, { chat: "d", ...write("elsewhere") }]);
  assert.equal(next.drafts.get(null).text, "offline");
  assert.equal(next.drafts.get("d").text, "elsewhere");
  await next.drafts.flush();
  assert.equal(next.puts[0].text, "offline");
  assert.equal(puts.length, 1);
});

function setUpAgain(storage) {
  const puts = [];
  const put = async (body) => (puts.push(body), { draft: body });
  return { puts, drafts: new Drafts({ owner: () => "alice", put, storage, tab: "again" }) };
}

test("a draft that was emptied elsewhere is empty here", (t) => {
  const { drafts, storage } = setUp(t);
  drafts.load([{ chat: "c", ...write("there") }]);
  drafts.load([]);
  assert.equal(drafts.get("c").text, "");
  assert.equal(storage.length, 0);
});

test("a draft that was sent elsewhere leaves every tab of this browser", async (t) => {
  const { drafts, storage } = setUp(t);
  const tab = new Drafts({ owner: () => "alice", put: async () => null, ask: async () => ({ drafts: [] }), storage, tab: "tab" });
  drafts.set("c", write("mine"));
  mock.timers.tick(1_000);
  await rest();
  for (const one of [tab, drafts]) one.receive({ chat: "c", ...write(""), tab: "there" });
  assert.equal(tab.arrived.value, null); // One has just been writing.
  mock.timers.tick(5_000);
  for (const one of [tab, drafts]) assert.deepEqual(one.arrived.value, { chat: "c" });
  assert.equal(drafts.get("c").text, "");
});

test("what was typed in another tab stays when a different text is sent here", async (t) => {
  const { puts, tabs } = setUpTabs(t);
  const [here, there] = tabs;
  for (const one of tabs) one.load([]);
  here.set("c", write("hello"));
  mock.timers.tick(500);
  there.set("c", write("world"));
  mock.timers.tick(500);
  here.set("c", write(""));
  await settled();
  assert.equal(there.get("c").text, "world");
  assert.equal(there.arrived.value, null);
  assert.equal(puts.at(-1).text, "world"); // The server has it again.
  // One that was taken from the other tab and sent is emptied there.
  here.set("c", write("world and more"));
  await settled();
  here.set("c", write(""));
  await settled();
  assert.equal(there.get("c").text, "");
  assert.deepEqual(there.arrived.value, { chat: "c" });
});

test("a text that was typed here and sent in another tab is emptied here", async (t) => {
  const { tabs } = setUpTabs(t);
  const [here, there] = tabs;
  for (const one of tabs) one.load([]);
  there.set("c", write("hello"));
  await settled();
  here.set("c", write(""));
  await settled();
  assert.equal(there.get("c").text, "");
  assert.deepEqual(there.arrived.value, { chat: "c" });
});

/** Two tabs of a browser, with a server that passes what one writes on to the other. */
function setUpTabs(t) {
  const { storage } = setUp(t);
  const puts = [];
  let clock = 0;
  const tabs = ["one", "two"].map((tab) => {
    const put = async (body) => {
      puts.push(body);
      const draft = { chat: body.chat, ...write(body.text, body.pastes), written_ms: ++clock };
      for (const each of tabs) each.receive({ ...draft, tab, was: body.was });
      return { draft };
    };
    return new Drafts({ owner: () => "alice", put, ask: async () => ({ drafts: [] }), storage, tab });
  });
  return { tabs, puts };
}

/** Longer than a pause in writing, with all that it sets off. */
async function settled() {
  for (let step = 0; step < 10; step++) {
    mock.timers.tick(1_000);
    await rest();
  }
}

test("a text that is continued and sent elsewhere during the pause is emptied here", async (t) => {
  const { drafts, puts } = setUp(t);
  const sent = [];
  const put = async (body) => (sent.push(body), { draft: body });
  const there = new Drafts({ owner: () => "alice", put, ask: async () => ({ drafts: [] }), storage: new Storage(), tab: "there" });
  const pause = async () => {
    mock.timers.tick(1_000);
    await rest();
  };
  drafts.set("c", write("mine"));
  await pause();
  there.receive(puts[0]);
  for (const [turn, text] of ["mine, continued", ""].entries()) {
    there.set("c", write(text));
    await pause();
    drafts.receive({ ...sent[turn], written_ms: 2_000_000 + turn });
  }
  assert.equal(drafts.get("c").text, "mine");
  mock.timers.tick(4_000);
  await rest();
  assert.equal(drafts.get("c").text, "");
  assert.equal(puts.length, 1);
  // What is typed now has nothing to do with it.
  drafts.set("c", write("another"));
  await pause();
  drafts.receive({ chat: "c", ...write(""), tab: "there", was: sent[1].was, written_ms: 3_000_000 });
  mock.timers.tick(9_000);
  assert.equal(drafts.get("c").text, "another");
});

test("a draft that is outdated at the end of the pause is taken in no tab", async (t) => {
  const { drafts, storage } = setUp(t);
  const tab = new Drafts({ owner: () => "alice", put: async () => null, ask: async () => ({ drafts: [] }), storage, tab: "tab" });
  drafts.set("c", write("mine"));
  mock.timers.tick(1_000);
  await rest();
  drafts.receive({ chat: "c", ...write(""), tab: "there", written_ms: 2_000_000 });
  tab.receive({ chat: "c", ...write("mine"), tab: "here", written_ms: 1_000_000 });
  tab.receive({ chat: "c", ...write(""), tab: "there", written_ms: 2_000_000 });
  const written = [];
  const setItem = storage.setItem.bind(storage);
  storage.setItem = (key, value) => (written.push(JSON.parse(value).text), setItem(key, value));
  mock.timers.tick(5_000);
  assert.deepEqual(written, []); // Neither by a tab that has heard of the later draft.
  assert.equal(drafts.get("c").text, "");
});

test("of two that come during a pause the later one is taken", async (t) => {
  const { drafts } = setUp(t);
  drafts.set("c", write("mine"));
  mock.timers.tick(1_000);
  await rest();
  drafts.receive({ chat: "c", ...write("later"), tab: "there", written_ms: 3_000_000 });
  drafts.receive({ chat: "c", ...write("earlier"), tab: "there", written_ms: 2_000_000 });
  mock.timers.tick(5_000);
  assert.equal(drafts.get("c").text, "later");
});

test("a draft with half of a character is the one that the server has stored", async (t) => {
  const { drafts } = setUp(t, { answers: [{ draft: { chat: "c", ...write("a\ufffd", ["\ufffd"]) } }] });
  drafts.set("c", write("a\ud83d", ["\ud83d"]));
  mock.timers.tick(1_000);
  await rest();
  mock.timers.tick(10_000);
  await rest();
  assert.equal(drafts.arrived.value, null);
});

test("a later one from elsewhere comes back with the answer", async (t) => {
  const { drafts } = setUp(t, { answers: [{ draft: { chat: "c", ...write("later") } }] });
  drafts.set("c", write("mine"));
  mock.timers.tick(1_000);
  await rest();
  assert.equal(drafts.get("c").text, "mine"); // Still writing: it is not pulled away.
});

test("drafts belong to one person", (t) => {
  const { drafts, storage, state } = setUp(t, { owner: "visitor" });
  drafts.set("c", write("before"));
  drafts.rename("visitor", "bob");
  state.owner = "bob";
  assert.equal(drafts.get("c").text, "before");
  state.owner = "alice";
  assert.equal(drafts.get("c").text, "");
  drafts.erase("alice");
  assert.equal(storage.length, 0);
});

test("a text that is sent while it is being stored stays gone", async (t) => {
  const answers = [];
  const { drafts, puts } = setUp(t, { answers });
  let answer;
  answers.push(new Promise((resolve) => (answer = resolve)));
  drafts.set(null, write("hello"));
  drafts.flush();
  drafts.set(null, write(""));
  drafts.flush();
  mock.timers.tick(2_000);
  await rest();
  assert.deepEqual(puts.map(({ text }) => text), ["hello"]); // The next one waits for its answer.
  answer({ draft: { chat: null, ...write("hello"), written_ms: 77 } });
  await rest();
  mock.timers.tick(2_000);
  await rest();
  assert.deepEqual(puts.map(({ text, seen_ms }) => [text, seen_ms]), [["hello", null], ["", 77]]);
  assert.equal(drafts.get(null).text, "");
});

test("a draft that the page came without stays, and is asked for when its chat is opened", async (t) => {
  const { drafts, asked, storage, state } = setUp(t);
  drafts.load([{ chat: "a", ...write("given") }, { chat: "b", ...write("left out") }]);
  const next = setUpAgain(storage);
  next.drafts.load([{ chat: "a", ...write("given"), written_ms: 5 }], true);
  assert.equal(next.drafts.get("b").text, "left out");

  drafts.load([{ chat: "a", ...write("given"), written_ms: 5 }], true);
  state.there = { drafts: [{ chat: "b", ...write("newer"), written_ms: 7 }] };
  await drafts.open("a");
  await drafts.open("b");
  await drafts.open("b");
  assert.deepEqual(asked, ["b"]);
  assert.equal(drafts.get("b").text, "newer");
  assert.deepEqual(drafts.arrived.value, { chat: "b" });
  state.there = { drafts: [] };
  drafts.load([{ chat: "c", ...write("sent elsewhere") }]);
  drafts.load([], true);
  await drafts.open("c");
  assert.equal(drafts.get("c").text, "");
});

test("what is begun while a draft is asked for goes below it", async (t) => {
  const { drafts, puts, state } = setUp(t);
  drafts.load([], true);
  let answer;
  state.there = new Promise((resolve) => (answer = resolve));
  const opened = drafts.open("c");
  drafts.set("c", write("mine"));
  answer({ drafts: [{ chat: "c", ...write("theirs", ["long"]), written_ms: 7 }] });
  await opened;
  assert.deepEqual(drafts.get("c"), write("theirs\n\nmine", ["long"]));
  mock.timers.tick(1_000);
  await rest();
  assert.deepEqual(puts.map(({ text, seen_ms }) => [text, seen_ms]), [["theirs\n\nmine", 7]]);
});

test("a page that came with all of them asks for none", async (t) => {
  const { drafts, asked } = setUp(t);
  drafts.load([{ chat: "a", ...write("given") }]);
  await drafts.open("b");
  assert.deepEqual(asked, []);
});

test("one that the server could not store is stored again soon, without another key", async (t) => {
  const trouble = Object.assign(new Error("busy"), { isRetryable: true });
  const { drafts, puts, storage } = setUp(t, { answers: [trouble, trouble] });
  drafts.set("c", write("a"));
  drafts.set("c", write(""));
  for (const ms of [1_000, 500, 1_000]) {
    mock.timers.tick(ms);
    await rest();
  }
  assert.deepEqual(puts.map(({ text }) => text), ["", "", ""]);
  mock.timers.tick(60_000);
  await rest();
  assert.equal(puts.length, 3);
  assert.equal(storage.length, 0);
});

test("what was written elsewhere while the connection was away is asked for once", async (t) => {
  const { drafts, asked, state } = setUp(t);
  drafts.load([{ chat: "a", ...write("known"), written_ms: 5 }, { chat: "b", ...write("sent elsewhere"), written_ms: 5 }]);
  state.there = { drafts: [{ chat: "a", ...write("missed"), written_ms: 7 }] };
  await drafts.missedSome("a");
  await drafts.open("a");
  assert.equal(drafts.get("a").text, "missed");
  state.there = { drafts: [] };
  await drafts.open("b");
  assert.equal(drafts.get("b").text, "");
  assert.deepEqual(asked, ["a", "b"]);
});

test("what was changed here while it was asked for stays as it is", async (t) => {
  for (const [there, mine] of [[[{ chat: "c", ...write("text"), written_ms: 5 }], ""], [[], "more"]]) {
    const answers = [{ draft: { ...write("text"), written_ms: 5 } }, { draft: { ...write(mine), written_ms: 6 } }];
    const { drafts, state } = setUp(t, { answers });
    drafts.set("c", write("text"));
    mock.timers.tick(1_000);
    await rest();
    let answer;
    state.there = new Promise((resolve) => (answer = resolve));
    const missed = drafts.missedSome("c");
    drafts.set("c", write(mine));
    mock.timers.tick(1_000);
    await rest();
    answer({ drafts: there });
    await missed;
    mock.timers.tick(10_000);
    assert.equal(drafts.get("c").text, mine);
    mock.timers.reset();
  }
});

test("the draft of a temporary chat is not stored here, and before the chat has begun not at the server", async (t) => {
  const storage = new Storage();
  const { drafts, puts, state } = setUp(t, { storage, owner: "visitor", isTemporary: (chat) => chat === "t" });
  const place = newPlace(true);
  drafts.set(place, write("secret"));
  await drafts.flush();
  mock.timers.tick(60_000);
  await rest();
  assert.deepEqual([storage.length, puts.length, drafts.get(place).text], [0, 0, "secret"]);
  drafts.set(place, write(""));
  drafts.set("t", write("more"));
  state.owner = "alice";
  drafts.rename("visitor", "alice");
  assert.equal(drafts.get("t").text, "more");
  mock.timers.tick(5_000);
  await rest();
  assert.deepEqual(puts.map(({ chat, text }) => [chat, text]), [["t", "more"]]);
  assert.equal(storage.length, 0);
});
