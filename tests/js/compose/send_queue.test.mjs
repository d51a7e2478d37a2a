import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { added, nextOf, ofChat, refused, settled, withdrawn } from "../../../static/js/chat/compose/send_queue_items.js";
import { Outbox } from "../../../static/js/chat/compose/send_queue.js";

/** The parts that the tabs of one browser share: a persistent store, locks and a channel. */
function setUpBrowser() {
  const state = { items: [], requests: [], held: new Map(), channels: [] };
  const store = {
    async change(change) {
      state.items = structuredClone(change(state.items));
      return state.items;
    },
  };
  const locks = {
    async request(name, { ifAvailable = false }, work) {
      const before = state.held.get(name);
      if (before && ifAvailable) return work(null);
      let release;
      const held = new Promise((resolve) => (release = resolve));
      state.held.set(name, (before ?? Promise.resolve()).then(() => held));
      await before;
      try {
        return await work({ name });
      } finally {
        release();
        if (state.held.get(name) !== before) await null;
        state.held.delete(name);
      }
    },
  };
  return { state, store, locks };
}

class Channel extends EventTarget {
  constructor(state) {
    super();
    this.state = state;
    state.channels.push(this);
  }
  postMessage(data) {
    for (const other of this.state.channels) if (other !== this) other.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) }));
  }
}

/** Opens a tab. The server gives `answers` in order, over all tabs: {reply}, {error}, or null for none. */
function openTab(browser, answers, more = {}) {
  const { state, store, locks } = browser;
  const seen = { sent: [], refused: [] };
  const outbox = new Outbox({
    store,
    locks,
    owner: () => more.owner ?? "alice",
    channel: new Channel(state),
    post: async (item) => {
      state.requests.push(item);
      const answer = answers.shift();
      await answer?.until;
      if (answer?.reply) return answer;
      throw Object.assign(new Error("no"), { isRetryable: !answer?.error, retryAfterMs: 0, ...answer?.error });
    },
    onSent: (item) => seen.sent.push(item.text),
    onWait: () => {},
    onRefused: (item, error, isAlone) => {
      seen.refused.push([item.text, error.message]);
      return more.takeBack === true && isAlone;
    },
  });
  return { outbox, seen };
}

function setClock(t) {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  t.after(() => mock.timers.reset());
}

/** Lets all pending promises settle. */
async function rest() {
  for (let turn = 0; turn < 200; turn++) await null;
}

const message = (text, more = {}) => ({ chat: "c", text, model: "m", edit: false, parent: "p0", isNew: false, ...more });
const texts = (items) => items.map((item) => item.text);

test("it sends again with the same id until the server has answered", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { outbox, seen } = openTab(browser, [null, null, { reply: "r1" }]);
  const id = outbox.add(message("hello"));
  await rest();
  assert.equal(outbox.items.value[0].status, "waiting");
  for (let time = 0; time < 3; time++) {
    mock.timers.tick(60_000);
    await rest();
  }
  assert.deepEqual(seen.sent, ["hello"]);
  assert.deepEqual(browser.state.requests.map((item) => item.id), [id, id, id]);
  assert.deepEqual(browser.state.items, []);
  assert.equal(outbox.of("c")[0].status, "sent");
  outbox.confirm(id);
  assert.deepEqual(outbox.of("c"), []);
});

test("a send whose answer was lost is asked for again as soon as the log has it", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { outbox, seen } = openTab(browser, [null, { reply: "r1" }]);
  const id = outbox.add(message("hello", { isNew: true }));
  await rest();
  assert.ok(outbox.isBegunHere("c"));
  outbox.confirm(id);
  await rest();
  assert.deepEqual(seen.sent, ["hello"]);
  assert.equal(outbox.isBegunHere("c"), false);
  assert.deepEqual(outbox.of("c"), []);
});

test("messages of a chat go out in order, each below the answer to the one before", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const answers = [];
  const { outbox, seen } = openTab(browser, answers);
  for (const text of ["one", "two", "three"]) outbox.add(message(text));
  await rest();
  assert.deepEqual(new Set(texts(browser.state.requests)), new Set(["one"])); // None overtakes another.
  browser.state.requests.length = 0;
  answers.push({ reply: "r1" }, { reply: "r2" }, { reply: "r3" });
  outbox.sendNow();
  await rest();
  assert.deepEqual(seen.sent, ["one", "two", "three"]);
  assert.deepEqual(browser.state.requests.map((item) => [item.text, item.parent]), [["one", "p0"], ["two", "r1"], ["three", "r2"]]);
});

test("what waits outlives the page and goes out from the next one", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  openTab(browser, []).outbox.add(message("kept"));
  await rest();
  mock.timers.reset();
  setClock(t);
  const { outbox, seen } = openTab(browser, [{ reply: "r1" }]);
  await outbox.start();
  await rest();
  assert.deepEqual(seen.sent, ["kept"]);
  assert.deepEqual(browser.state.items, []);
});

test("two tabs that come back at once send each message once, in order", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const answers = [];
  const [first, second] = [openTab(browser, answers), openTab(browser, answers)];
  for (const text of ["one", "two", "three"]) first.outbox.add(message(text));
  await rest();
  assert.deepEqual(texts(second.outbox.items.value), ["one", "two", "three"]);
  browser.state.requests.length = 0;
  answers.push({ reply: "r1" }, { reply: "r2" }, { reply: "r3" });
  first.outbox.sendNow();
  second.outbox.sendNow();
  await rest();
  assert.deepEqual(texts(browser.state.requests), ["one", "two", "three"]);
  assert.deepEqual(browser.state.items, []);
});

test("a tab takes over what another one had begun to send when it was closed", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const never = new Promise(() => {});
  openTab(browser, [{ until: never }]).outbox.add(message("begun"));
  await rest();
  browser.state.held.clear(); // The browser releases the locks of a closed tab.
  const { outbox, seen } = openTab(browser, [{ reply: "r1" }]);
  await outbox.start();
  await rest();
  assert.deepEqual(seen.sent, ["begun"]);
  const [before, after] = browser.state.requests;
  assert.equal(before.id, after.id);
});

test("what is refused goes back to who has just written it", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { outbox, seen } = openTab(browser, [{ error: { code: "message_too_long", message: "Too long." } }], { takeBack: true });
  outbox.add(message("long"));
  await rest();
  assert.deepEqual(seen.refused, [["long", "Too long."]]);
  assert.deepEqual(browser.state.items, []);
});

test("else it stays with the reason and holds back what is behind it, until somebody decides", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const refusal = { error: { code: "too_many_requests", message: "Too often." } };
  const { outbox, seen } = openTab(browser, [refusal, refusal, { reply: "r2" }]);
  const first = outbox.add(message("one"));
  outbox.add(message("two"));
  await rest();
  assert.deepEqual(outbox.of("c").map(({ text, status, error }) => [text, status, error?.message]), [["one", "refused", "Too often."], ["two", "held", undefined]]);
  await outbox.retry(first);
  await rest();
  assert.equal(browser.state.requests.length, 2);
  assert.equal((await outbox.withdraw(first)).text, "one");
  await rest();
  assert.deepEqual(seen.sent, ["two"]);
  assert.equal(browser.state.requests.at(-1).parent, "p0");
});

test("what is being sent cannot be taken out", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let answer;
  const { outbox, seen } = openTab(browser, [{ reply: "r1", until: new Promise((resolve) => (answer = resolve)) }]);
  const id = outbox.add(message("one"));
  await rest();
  assert.equal(await outbox.withdraw(id), null);
  answer();
  await rest();
  assert.deepEqual(seen.sent, ["one"]);
});

test("without a store it sends all the same", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  browser.store.change = async () => undefined;
  const { outbox, seen } = openTab({ ...browser, locks: null }, [null, { reply: "r1" }, { reply: "r2" }]);
  outbox.add(message("one"));
  outbox.add(message("two"));
  await rest();
  outbox.sendNow();
  await rest();
  assert.deepEqual(seen.sent, ["one", "two"]);
});

test("taking one out of the line lets the next take its place", () => {
  let items = [];
  for (const [id, more] of [["a", { isNew: true }], ["b", {}], ["c", {}]]) items = added(items, { ...message(id, more), id, createdMs: items.length });
  assert.deepEqual(items.map((item) => item.after), [null, "a", "b"]);
  items = withdrawn(items, "a");
  assert.deepEqual(items.map((item) => [item.id, item.after, item.isNew, item.parent]), [["b", null, true, "p0"], ["c", "b", false, "p0"]]);
  items = settled(items, "b", "r");
  assert.deepEqual(items.map((item) => [item.id, item.after, item.parent]), [["c", null, "r"]]);
  items = refused(items, "c", { code: "x", message: "No." });
  assert.equal(nextOf(items, "c"), null);
  assert.equal(ofChat(added(items, items[0]), "c").length, 1);
});

test("what there is no room for on the site waits and is sent again", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const answers = [{ error: { code: "storage_busy", retryAfterMs: 30_000 } }];
  const { outbox, seen } = openTab(browser, answers);
  outbox.add(message("hello"));
  await rest();
  assert.deepEqual(outbox.items.value.map(({ status, waits }) => [status, waits]), [["waiting", "storage_busy"]]);
  answers.push({ reply: "r1" });
  mock.timers.tick(29_000);
  await rest();
  assert.equal(browser.state.requests.length, 1);
  mock.timers.tick(31_000);
  await rest();
  assert.deepEqual(seen.sent, ["hello"]);
});

test("what waits for credit that is set aside goes out when there is some", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const answers = [{ error: { code: "credit_held" } }];
  const { outbox, seen } = openTab(browser, answers);
  outbox.add(message("hello"));
  await rest();
  assert.deepEqual(outbox.items.value.map(({ status, waits }) => [status, waits]), [["waiting", "credit_held"]]);
  answers.push({ reply: "r1" });
  outbox.sendWaitingFor("something else");
  await rest();
  assert.deepEqual(seen.sent, []);
  outbox.sendWaitingFor("credit_held");
  await rest();
  assert.deepEqual(seen.sent, ["hello"]);
});

test("when who wrote it has signed out nothing is tried again, and nothing is left", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { outbox } = openTab(browser, []); // The network is away.
  outbox.add({ chat: "c", text: "Secret", isNew: true });
  await rest();
  assert.equal(browser.state.requests.length, 1);
  browser.state.items = [];
  browser.store.change = async () => undefined; // Erased: it keeps nothing any more.
  outbox.forget();
  assert.deepEqual(outbox.items.value, []);
  outbox.sendNow();
  mock.timers.tick(600_000);
  await rest();
  assert.equal(browser.state.requests.length, 1);
});

test("what is written after that is refused by the server, and goes back to who wrote it", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { outbox, seen } = openTab(browser, [{ error: { isRetryable: false, code: "sign_in", message: "Sign in" } }], { takeBack: true });
  outbox.forget();
  browser.store.change = async () => undefined;
  outbox.add({ chat: "c", text: "Later", isNew: true });
  await rest();
  assert.deepEqual(seen.refused, [["Later", "Sign in"]]);
  assert.deepEqual(outbox.items.value, []);
});

test("what is under way when they sign out is not sent anew", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let answer;
  const { outbox } = openTab(browser, [{ until: new Promise((resolve) => (answer = resolve)) }]);
  outbox.add({ chat: "c", text: "Secret", isNew: true });
  await rest();
  browser.state.items = [];
  browser.store.change = async () => undefined;
  outbox.forget();
  answer();
  await rest();
  mock.timers.tick(600_000);
  await rest();
  assert.equal(browser.state.requests.length, 1);
  assert.deepEqual(outbox.items.value, []);
});

for (const reading of ["at the start", "because of another tab"]) {
  test(`a message that is written while the store is read ${reading} stays in the queue`, async (t) => {
    setClock(t);
    const { state, store, locks } = setUpBrowser();
    const calls = [];
    // Each call has its result at once, and returns it when the test says so.
    const slow = { change: async (change) => {
      const result = await store.change(change);
      await new Promise((resolve) => calls.push(resolve));
      return result;
    } };
    const { outbox } = openTab({ state, store: slow, locks }, [{ reply: "r1" }]);
    if (reading === "at the start") void outbox.start();
    else state.channels[0].dispatchEvent(new MessageEvent("message", { data: { type: "changed", owner: "alice" } }));
    await rest();
    outbox.add(message("hello", { isNew: true }));
    await rest();
    calls.shift()();
    await rest();
    assert.deepEqual(texts(outbox.of("c")), ["hello"]);
    assert.ok(outbox.isBegunHere("c"));
    for (let turn = 0; turn < 10; turn++) {
      calls.shift()?.();
      await rest();
    }
    assert.equal(outbox.of("c")[0].status, "sent");
  });
}
