import assert from "node:assert/strict";
import { test } from "node:test";
import { value } from "../../../static/js/chat/local/database.js";
import { RecordingStore } from "../../../static/js/chat/local/recording_store.js";
import { RATE } from "../../../static/js/chat/sound/wav.js";

/** A database in memory; with `isFull`, it stores nothing until there is room. */
function setUp({ isFull = false } = {}) {
  const stores = { meta: new Map([["owner", "alice"]]), file_data: new Map([["f1", new ArrayBuffer(1)]]) };
  const state = { isFull, madeRoom: 0, stores };
  const request = (result) => {
    const made = { result };
    queueMicrotask(() => made.onsuccess());
    return made;
  };
  const open = (name) => ({
    get: (key) => request(structuredClone(stores[name].get(key))),
    put: (content, key) => void stores[name].set(key, structuredClone(content)),
    delete: (key) => void stores[name].delete(key),
  });
  const run = async (names, mode, work) => (mode === "readwrite" && state.isFull ? undefined : work(open));
  const store = new RecordingStore({ database: { run }, makeRoom: async () => void (state.madeRoom += 1), value });
  return { store, state };
}

const second = (sample, length = RATE) => new Int16Array(length).fill(sample);
const NOTE = { id: "r1", startedMs: 5 };

test("each second is stored, and the last one again when it is complete", async () => {
  const { store } = setUp();
  for (const [index, piece] of [[0, second(1)], [1, second(2, 800)], [1, second(2)], [2, second(3, 400)]]) assert.equal(await store.keep(NOTE, index, piece), true);
  assert.deepEqual(await store.heads(), [{ id: "r1", startedMs: 5, pieces: 3, ms: 2_025 }]);
  assert.deepEqual(await store.pieces("r1"), [second(1), second(2), second(3, 400)]);
});

test("recordings come in their order and are removed one by one, and nothing else is", async () => {
  const { store, state } = setUp();
  await store.keep({ id: "late", startedMs: 9 }, 0, second(1));
  await store.keep({ id: "early", startedMs: 2 }, 0, second(2));
  assert.deepEqual((await store.heads()).map(({ id }) => id), ["early", "late"]);
  await store.remove("early");
  await store.remove("unknown");
  assert.deepEqual((await store.heads()).map(({ id }) => id), ["late"]);
  assert.deepEqual(await store.pieces("late"), [second(1)]);
  await store.remove("late");
  assert.deepEqual([...state.stores.file_data.keys()], ["f1"]);
  assert.equal(state.stores.meta.get("owner"), "alice");
});

test("without room it makes some, and says if that does not help", async () => {
  const { store, state } = setUp({ isFull: true });
  assert.equal(await store.keep(NOTE, 0, second(1)), false);
  assert.equal(state.madeRoom, 1);
  state.isFull = false;
  assert.equal(await store.keep(NOTE, 1, second(2)), true);
  // What comes after a gap would be something else than what was said.
  assert.deepEqual(await store.pieces("r1"), []);
});
