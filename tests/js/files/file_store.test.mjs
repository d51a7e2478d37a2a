import assert from "node:assert/strict";
import { test } from "node:test";
import { value } from "../../../static/js/chat/local/database.js";
import { FileStore } from "../../../static/js/chat/local/file_store.js";

/** A database in memory, with room for `room` records. */
function setUp(room = Infinity) {
  const stores = { files: new Map(), file_data: new Map() };
  const state = { room, madeRoom: 0, stores };
  const request = (result) => {
    const made = { result };
    queueMicrotask(() => made.onsuccess());
    return made;
  };
  const open = (name) => ({
    getAll: () => request([...stores[name].values()]),
    get: (id) => request(stores[name].get(id)),
    put: (record, key = record.id) => void stores[name].set(key, structuredClone(record)),
    delete: (id) => void stores[name].delete(id),
  });
  const database = {
    async run(names, mode, work) {
      if (mode === "readwrite" && stores.files.size >= state.room) return undefined;
      return work(open);
    },
  };
  const store = new FileStore({ database, makeRoom: async () => void (state.madeRoom += 1), value });
  return { store, state };
}

const record = (id, addedMs = 1) => ({ id, place: "new", name: `${id}.txt`, bytes: 3, kind: "text", addedMs });
const content = () => new TextEncoder().encode("abc").buffer;

test("a file is kept with its content, and the records come in their order", async () => {
  const { store } = setUp();
  for (const [id, addedMs] of [["b", 2], ["a", 1]]) {
    store.hold(id, content());
    assert.equal(await store.keep(record(id, addedMs)), true);
    assert.equal(store.isHeld(id), false);
  }
  assert.deepEqual((await store.records())?.map(({ id }) => id), ["a", "b"]);
  assert.deepEqual(await store.content("a"), content());
});

test("without room it is made once, and then the page keeps the content", async () => {
  const { store, state } = setUp(0);
  store.hold("a", content());
  assert.equal(await store.keep(record("a")), false);
  assert.equal(state.madeRoom, 1);
  assert.deepEqual(await store.content("a"), content());
});

test("what is taken out stays with the page alone", async () => {
  const { store, state } = setUp();
  store.hold("a", content());
  await store.keep(record("a"));
  await store.takeOut("a");
  assert.deepEqual([state.stores.files.size, state.stores.file_data.size], [0, 0]);
  assert.deepEqual(await store.content("a"), content());
  await store.remove("a");
  assert.equal(await store.content("a"), null);
});

test("decoded sound is kept, taken out and removed with its file", async () => {
  const { store, state } = setUp();
  const wav = () => new TextEncoder().encode("wav").buffer;
  store.hold("a", content());
  await store.keepDecoded("a", wav());
  assert.equal(state.stores.file_data.size, 0);
  assert.deepEqual(await store.decoded("a"), wav());
  await store.keep(record("a"));
  await store.keepDecoded("a", wav());
  assert.equal(state.stores.file_data.size, 2);
  assert.deepEqual([await store.decoded("a"), await store.content("a")], [wav(), content()]);
  await store.takeOut("a");
  assert.equal(state.stores.file_data.size, 0);
  assert.deepEqual([await store.decoded("a"), await store.content("a")], [wav(), content()]);
  await store.keep(record("a"));
  await store.keepDecoded("a", wav());
  await store.remove("a");
  assert.deepEqual([await store.decoded("a"), state.stores.file_data.size], [null, 0]);
  await store.keepDecoded("b", wav());
  await store.remove("b");
  assert.equal(await store.decoded("b"), null);
});

test("a change of a file that is not there stores nothing", async () => {
  const { store, state } = setUp();
  await store.change("a", { place: "c1" });
  assert.equal(state.stores.files.size, 0);
});
