import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Change, emptyTranscript, foldEntry, isAnswering, shownPath, siblingsOf, transcriptToJson } from "../../../static/js/chat/log/fold.js";

const VECTORS = new URL("../../vectors/fold/", import.meta.url);
const plain = (state) => JSON.parse(JSON.stringify(transcriptToJson(state)));

function fold(events, state = emptyTranscript()) {
  for (const [id, data] of events) foldEntry(state, id, data);
  return state;
}

const vectors = readdirSync(VECTORS).filter((name) => name.endsWith(".json")).map((name) => JSON.parse(readFileSync(new URL(name, VECTORS))));

for (const { name, events, state } of vectors) {
  test(`it folds: ${name}`, () => assert.deepEqual(plain(fold(events)), state));

  test(`it gives the same from every entry on: ${name}`, () => {
    for (let cut = 0; cut <= events.length; cut++) {
      const resumed = fold(events, fold(events.slice(0, cut)));
      assert.deepEqual(plain(resumed), state);
    }
  });
}

const ask = [
  ["1-0", { type: "message.created", message: "q", role: "user", text: "?" }],
  ["1-1", { type: "message.created", message: "a", role: "assistant", parent: "q", model: "m" }],
];

test("it says what changed", () => {
  const state = fold(ask);
  const kinds = [
    [{ type: "message.started", message: "a", attempt: 1, model: "m" }, Change.STATUS],
    [{ type: "message.delta", message: "a", text: "x" }, Change.TEXT],
    [{ type: "branch.chosen", message: "a" }, Change.SHAPE],
    [{ type: "chat.renamed", chat: "c", title: "t", by: "user" }, Change.CHAT],
  ];
  kinds.forEach(([data, change], index) => assert.equal(foldEntry(state, `2-${index}`, data).change, change));
  assert.equal(foldEntry(state, "2-9", { type: "message.delta", message: "nobody", text: "x" }), null);
});

test("it shows the chosen branch, else the newest", () => {
  const state = fold([...ask, ["2-0", { type: "message.created", message: "b", role: "assistant", parent: "q", model: "m" }]]);
  assert.deepEqual(shownPath(state).map((message) => message.id), ["q", "b"]);
  foldEntry(state, "3-0", { type: "branch.chosen", message: "a" });
  assert.deepEqual(shownPath(state).map((message) => message.id), ["q", "a"]);
  assert.deepEqual(siblingsOf(state, state.messages.a), ["a", "b"]);
  assert.ok(isAnswering(state.messages.a));
});

test("a token costs the same at the end of a long answer as at its start", () => {
  const state = fold(ask);
  const tokens = 50_000;
  const time = (from) => {
    const start = performance.now();
    for (let index = from; index < from + tokens; index++) {
      foldEntry(state, `${index + 10}-0`, { type: "message.delta", message: "a", text: "token " });
    }
    return performance.now() - start;
  };
  time(0);
  const early = time(tokens);
  for (let round = 2; round < 9; round++) time(round * tokens);
  const late = time(9 * tokens);
  assert.ok(late < 5 * early + 20, `${early} ms, then ${late} ms`);
  assert.equal(state.messages.a.text.length, 10 * tokens * "token ".length);
});
