import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyTranscript, foldEntry, shownPath, transcriptToJson } from "../../../static/js/chat/log/fold.js";
import { BLOCK_MESSAGES, headOf, transcriptOf } from "../../../static/js/chat/local/blocks.js";

function longChat(count) {
  const state = emptyTranscript();
  let parent = null;
  for (let number = 0; number < count; number++) {
    const role = number % 2 ? "assistant" : "user";
    foldEntry(state, `${number + 1}-0`, { type: "message.created", message: `m${number}`, role, parent, text: `text ${number}` });
    parent = `m${number}`;
  }
  foldEntry(state, "900000-0", { type: "message.created", message: "b", role: "user", parent: "m1", text: "branch" });
  foldEntry(state, "900001-0", { type: "branch.chosen", message: "m2" });
  return state;
}

function kept(state) {
  const messages = Object.values(structuredClone(state.messages));
  const blocks = [];
  for (let from = 0; from < messages.length; from += BLOCK_MESSAGES) blocks.push(messages.slice(from, from + BLOCK_MESSAGES));
  return { head: structuredClone(headOf("c", state, { revision: "r", chars: 1, usedMs: 1 })), blocks };
}

test("a transcript comes back as it was", () => {
  const state = longChat(300);
  const { head, blocks } = kept(state);
  const back = transcriptOf(head, blocks);
  assert.deepEqual(transcriptToJson(back), transcriptToJson(state));
  assert.equal(back.cursor, state.cursor);
  assert.deepEqual(shownPath(back).map(({ id }) => id), shownPath(state).map(({ id }) => id));
  foldEntry(back, "900002-0", { type: "message.created", message: "__proto__", role: "user", parent: null });
  assert.equal(Object.getPrototypeOf(back.messages), null);
});

test("the head of a long chat has its last messages, as many as are short, none that is being written", () => {
  const state = longChat(300);
  const lastOf = () => kept(state).head.glimpse.map(({ id }) => id);
  const ids = (from, to) => Array.from({ length: to - from }, (_, index) => `m${from + index}`);
  const texts = Object.values(state.messages);
  for (const message of texts) message.status = "done";
  assert.deepEqual(lastOf(), ids(288, 300));
  state.messages.m299.status = "running";
  assert.deepEqual(lastOf(), ids(287, 299));
  state.messages.m290.text = "long ".repeat(10_000);
  assert.deepEqual(lastOf(), ids(291, 299));
  state.chosen.m1 = "b";
  assert.deepEqual(lastOf(), ["m0", "m1", "b"]);
  assert.deepEqual(kept(longChat(200)).head.glimpse, []);
});

test("what does not fit together is not shown", () => {
  const whole = kept(longChat(200));
  assert.equal(transcriptOf(whole.head, whole.blocks.slice(1)), null);
  assert.equal(transcriptOf(whole.head, whole.blocks.slice(0, -1)), null);
  assert.equal(transcriptOf(whole.head, [...whole.blocks, whole.blocks[0]]), null);
  assert.equal(transcriptOf({ ...whole.head, shape: "an older fold" }, whole.blocks), null);
});
