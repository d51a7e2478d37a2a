import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { added, nextOf, ofChat, refused, settled, withdrawn } from "../../../static/js/chat/compose/send_queue_items.js";
import { SendQueueStore } from "../../../static/js/chat/local/send_queue_store.js";
import { SendQueue } from "../../../static/js/chat/compose/send_queue.js";

/** The parts that the tabs of one browser share: a persistent store, locks and a channel. */
function setUpBrowser() {
  const state = { items: [], requests: [], held: new Map(), channels: [], saved: [] };
  const store = {
    saveNow: (owner, items) => state.saved.push(...items),
    takeSaved: () => state.saved.splice(0),
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
  const sendQueue = new SendQueue({
    store,
    locks,
    owner: () => more.owner ?? "alice",
    channel: new Channel(state),
    prepare: more.prepare ?? (async () => {}),
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
  return { sendQueue, seen };
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
  const { sendQueue, seen } = openTab(browser, [null, null, { reply: "r1" }]);
  const id = sendQueue.add(message("hello"));
  await rest();
  assert.equal(sendQueue.items.value[0].status, "waiting");
  for (let time = 0; time < 3; time++) {
    mock.timers.tick(60_000);
    await rest();
  }
  assert.deepEqual(seen.sent, ["hello"]);
  assert.deepEqual(browser.state.requests.map((item) => item.id), [id, id, id]);
  assert.deepEqual(browser.state.items, []);
  assert.equal(sendQueue.of("c")[0].status, "sent");
  sendQueue.confirm(id);
  assert.deepEqual(sendQueue.of("c"), []);
});

test("a send whose answer was lost is asked for again as soon as the log has it", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { sendQueue, seen } = openTab(browser, [null, { reply: "r1" }]);
  const id = sendQueue.add(message("hello", { isNew: true }));
  await rest();
  assert.ok(sendQueue.isBegunHere("c"));
  sendQueue.confirm(id);
  await rest();
  assert.deepEqual(seen.sent, ["hello"]);
  assert.equal(sendQueue.isBegunHere("c"), false);
  assert.deepEqual(sendQueue.of("c"), []);
});

test("messages of a chat go out in order, each below the answer to the one before", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const answers = [];
  const { sendQueue, seen } = openTab(browser, answers);
  for (const text of ["one", "two", "three"]) sendQueue.add(message(text));
  await rest();
  assert.deepEqual(new Set(texts(browser.state.requests)), new Set(["one"])); // None overtakes another.
  browser.state.requests.length = 0;
  answers.push({ reply: "r1" }, { reply: "r2" }, { reply: "r3" });
  sendQueue.sendNow();
  await rest();
  assert.deepEqual(seen.sent, ["one", "two", "three"]);
  assert.deepEqual(browser.state.requests.map((item) => [item.text, item.parent]), [["one", "p0"], ["two", "r1"], ["three", "r2"]]);
});

test("what waits outlives the page and goes out from the next one", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  openTab(browser, []).sendQueue.add(message("kept"));
  await rest();
  mock.timers.reset();
  setClock(t);
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1" }]);
  await sendQueue.start();
  await rest();
  assert.deepEqual(seen.sent, ["kept"]);
  assert.deepEqual(browser.state.items, []);
});

test("what a closed page had no time to store goes out from the next one", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { change } = browser.store;
  browser.store.change = () => new Promise(() => {});
  const closed = openTab(browser, []);
  const id = closed.sendQueue.add(message("one"));
  closed.sendQueue.saveNow();
  browser.store.change = change;
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1" }]);
  await sendQueue.start();
  await rest();
  assert.deepEqual(seen.sent, ["one"]);
  assert.equal(browser.state.requests[0].id, id);
});

test("two tabs that come back at once send each message once, in order", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const answers = [];
  const [first, second] = [openTab(browser, answers), openTab(browser, answers)];
  for (const text of ["one", "two", "three"]) first.sendQueue.add(message(text));
  await rest();
  assert.deepEqual(texts(second.sendQueue.items.value), ["one", "two", "three"]);
  browser.state.requests.length = 0;
  answers.push({ reply: "r1" }, { reply: "r2" }, { reply: "r3" });
  first.sendQueue.sendNow();
  second.sendQueue.sendNow();
  await rest();
  assert.deepEqual(texts(browser.state.requests), ["one", "two", "three"]);
  assert.deepEqual(browser.state.items, []);
});

test("a tab takes over what another one had begun to send when it was closed", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const never = new Promise(() => {});
  openTab(browser, [{ until: never }]).sendQueue.add(message("begun"));
  await rest();
  browser.state.held.clear(); // The browser releases the locks of a closed tab.
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1" }]);
  await sendQueue.start();
  await rest();
  assert.deepEqual(seen.sent, ["begun"]);
  const [before, after] = browser.state.requests;
  assert.equal(before.id, after.id);
});

test("what is refused goes back to who has just written it", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { sendQueue, seen } = openTab(browser, [{ error: { code: "message_too_long", message: "Too long." } }], { takeBack: true });
  sendQueue.add(message("long"));
  await rest();
  assert.deepEqual(seen.refused, [["long", "Too long."]]);
  assert.deepEqual(browser.state.items, []);
});

test("else it stays with the reason and holds back what is behind it, until somebody decides", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const refusal = { error: { code: "too_many_requests", message: "Too often." } };
  const { sendQueue, seen } = openTab(browser, [refusal, refusal, { reply: "r2" }]);
  const first = sendQueue.add(message("one"));
  sendQueue.add(message("two"));
  await rest();
  assert.deepEqual(sendQueue.of("c").map(({ text, status, error }) => [text, status, error?.message]), [["one", "refused", "Too often."], ["two", "held", undefined]]);
  await sendQueue.retry(first);
  await rest();
  assert.equal(browser.state.requests.length, 2);
  assert.equal((await sendQueue.withdraw(first)).text, "one");
  await rest();
  assert.deepEqual(seen.sent, ["two"]);
  assert.equal(browser.state.requests.at(-1).parent, "p0");
});

test("what is being sent cannot be taken out", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let answer;
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1", until: new Promise((resolve) => (answer = resolve)) }]);
  const id = sendQueue.add(message("one"));
  await rest();
  assert.equal(await sendQueue.withdraw(id), null);
  answer();
  await rest();
  assert.deepEqual(seen.sent, ["one"]);
});

test("what waits behind it can", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let answer;
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1", until: new Promise((resolve) => (answer = resolve)) }, { reply: "r3" }]);
  sendQueue.add(message("one"));
  const second = sendQueue.add(message("two"));
  sendQueue.add(message("three"));
  await rest();
  assert.equal((await sendQueue.withdraw(second)).text, "two");
  answer();
  await rest();
  assert.deepEqual(seen.sent, ["one", "three"]);
  assert.equal(browser.state.requests.at(-1).parent, "r1");
});

test("without a store it sends all the same", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  browser.store.change = async () => undefined;
  const { sendQueue, seen } = openTab({ ...browser, locks: null }, [null, { reply: "r1" }, { reply: "r2" }]);
  sendQueue.add(message("one"));
  sendQueue.add(message("two"));
  await rest();
  sendQueue.sendNow();
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
  const { sendQueue, seen } = openTab(browser, answers);
  sendQueue.add(message("hello"));
  await rest();
  assert.deepEqual(sendQueue.items.value.map(({ status, waits }) => [status, waits]), [["waiting", "storage_busy"]]);
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
  const { sendQueue, seen } = openTab(browser, answers);
  sendQueue.add(message("hello"));
  await rest();
  assert.deepEqual(sendQueue.items.value.map(({ status, waits }) => [status, waits]), [["waiting", "credit_held"]]);
  answers.push({ reply: "r1" });
  sendQueue.sendWaitingFor("something else");
  await rest();
  assert.deepEqual(seen.sent, []);
  sendQueue.sendWaitingFor("credit_held");
  await rest();
  assert.deepEqual(seen.sent, ["hello"]);
});

test("when who wrote it has signed out nothing is tried again, and nothing is left", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { sendQueue } = openTab(browser, []); // The network is away.
  sendQueue.add({ chat: "c", text: "Secret", isNew: true });
  await rest();
  assert.equal(browser.state.requests.length, 1);
  browser.state.items = [];
  browser.store.change = async () => undefined; // Erased: it keeps nothing any more.
  sendQueue.forget();
  assert.deepEqual(sendQueue.items.value, []);
  sendQueue.sendNow();
  mock.timers.tick(600_000);
  await rest();
  assert.equal(browser.state.requests.length, 1);
});

test("what is written after that is refused by the server, and goes back to who wrote it", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const { sendQueue, seen } = openTab(browser, [{ error: { isRetryable: false, code: "sign_in", message: "Sign in" } }], { takeBack: true });
  sendQueue.forget();
  browser.store.change = async () => undefined;
  sendQueue.add({ chat: "c", text: "Later", isNew: true });
  await rest();
  assert.deepEqual(seen.refused, [["Later", "Sign in"]]);
  assert.deepEqual(sendQueue.items.value, []);
});

test("what is under way when they sign out is not sent anew", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let answer;
  const { sendQueue } = openTab(browser, [{ until: new Promise((resolve) => (answer = resolve)) }]);
  sendQueue.add({ chat: "c", text: "Secret", isNew: true });
  await rest();
  browser.state.items = [];
  browser.store.change = async () => undefined;
  sendQueue.forget();
  answer();
  await rest();
  mock.timers.tick(600_000);
  await rest();
  assert.equal(browser.state.requests.length, 1);
  assert.deepEqual(sendQueue.items.value, []);
});

for (const reading of ["at the start", "because of another tab"]) {
  test(`a message that is written while the store is read ${reading} stays in the queue`, async (t) => {
    setClock(t);
    const { state, store, locks } = setUpBrowser();
    const calls = [];
    // Each call has its result at once, and returns it when the test says so.
    const slow = { ...store, change: async (change) => {
      const result = await store.change(change);
      await new Promise((resolve) => calls.push(resolve));
      return result;
    } };
    const { sendQueue } = openTab({ state, store: slow, locks }, [{ reply: "r1" }]);
    if (reading === "at the start") void sendQueue.start();
    else state.channels[0].dispatchEvent(new MessageEvent("message", { data: { type: "changed", owner: "alice" } }));
    await rest();
    sendQueue.add(message("hello", { isNew: true }));
    await rest();
    calls.shift()();
    await rest();
    assert.deepEqual(texts(sendQueue.of("c")), ["hello"]);
    assert.ok(sendQueue.isBegunHere("c"));
    for (let turn = 0; turn < 10; turn++) {
      calls.shift()?.();
      await rest();
    }
    assert.equal(sendQueue.of("c")[0].status, "sent");
  });
}

test("messages of temporary chats are kept by the page that they were written on, and not stored", async () => {
  const stored = new Map();
  const database = {
    async run(names, mode, work) {
      const request = (result) => {
        const made = { result };
        queueMicrotask(() => made.onsuccess());
        return made;
      };
      const outbox = { getAll: () => request([...stored.values()]), delete: (id) => stored.delete(id), put: (item) => stored.set(item.id, item) };
      return work(() => outbox);
    },
  };
  const here = new SendQueueStore(database);
  const elsewhere = new SendQueueStore(database);
  const written = { chat: "t", text: "secret", model: "m", edit: false, parent: null, isNew: true, createdMs: 1 };
  await here.change((items) => added(items, { ...written, id: "a", temporary: true }));
  await here.change((items) => added(items, { ...written, id: "b", chat: "c", text: "open" }));
  assert.deepEqual([...stored.keys()], ["b"]);
  assert.deepEqual((await here.change((items) => items)).map(({ id }) => id).sort(), ["a", "b"]);
  assert.deepEqual((await elsewhere.change((items) => items)).map(({ id }) => id), ["b"]);
  assert.deepEqual(await here.change((items) => settled(settled(items, "a", "r"), "b", "r")), []);
  assert.equal(stored.size, 0);
});

const FILES = [{ id: "f1", kind: "image", name: "sea.jpg", bytes: 3 }];
const refusedFile = () => Object.assign(new Error("damaged"), { isRetryable: false, code: "file_damaged" });

test("a message with files is sent once they are uploaded, and those behind it wait", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let finish;
  const prepare = () => new Promise((resolve) => (finish = resolve));
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1" }, { reply: "r2" }], { prepare });
  sendQueue.add(message("look", { files: FILES }));
  sendQueue.add(message("and then"));
  await rest();
  assert.deepEqual(sendQueue.items.value.map(({ status }) => status), ["uploading", "waiting"]);
  assert.deepEqual(browser.state.requests, []);
  finish();
  await rest();
  assert.deepEqual(seen.sent, ["look", "and then"]);
  assert.deepEqual(browser.state.requests[0].files, FILES);
});

test("a message can be withdrawn while its files are uploaded", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  const prepare = () => new Promise(() => {});
  const { sendQueue } = openTab(browser, [], { prepare });
  const id = sendQueue.add(message("look", { files: FILES }));
  await rest();
  assert.deepEqual((await sendQueue.withdraw(id)).files, FILES);
  assert.deepEqual(sendQueue.items.value, []);
});

test("a refused file stops its message, which can be sent again", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let isRefused = true;
  const prepare = async () => {
    if (isRefused) throw refusedFile();
  };
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1" }], { prepare });
  const id = sendQueue.add(message("look", { files: FILES }));
  await rest();
  assert.deepEqual(seen.refused, [["look", "damaged"]]);
  assert.equal(sendQueue.items.value[0].status, "refused");
  isRefused = false;
  await sendQueue.retry(id);
  await rest();
  assert.deepEqual(seen.sent, ["look"]);
});

test("where files cannot be uploaded now, the message is tried again later", async (t) => {
  setClock(t);
  const browser = setUpBrowser();
  let tries = 0;
  const prepare = async () => {
    if (++tries < 3) throw new TypeError("the module cannot be loaded");
  };
  const { sendQueue, seen } = openTab(browser, [{ reply: "r1" }], { prepare });
  sendQueue.add(message("look", { files: FILES }));
  for (let time = 0; time < 3; time++) {
    await rest();
    mock.timers.tick(60_000);
  }
  await rest();
  assert.deepEqual([tries, seen.sent], [3, ["look"]]);
});
