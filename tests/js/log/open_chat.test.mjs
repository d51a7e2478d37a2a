import assert from "node:assert/strict";
import { test } from "node:test";
import { runWhenIdle } from "../../../static/js/chat/lib/idle_tasks.js";
import { OpenChat } from "../../../static/js/chat/log/open_chat.js";

globalThis.document = { visibilityState: "hidden" };

const CONTINUED = [
  ["1-0", { type: "message.created", message: "q", role: "user", text: "Hello" }],
  ["2-0", { type: "message.created", message: "a", role: "assistant", parent: "q" }],
  ["3-0", { type: "message.started", message: "a", attempt: 1, model: "m" }],
  ["4-0", { type: "message.error", message: "a", code: "x", text: "", retryable: true, length: 0, sha256: "" }],
  ["5-0", { type: "message.resumed", message: "a", attempt: 2, reason: "asked", means: "prefill", length: 0 }],
];

test("an answer that was continued does not hold up other idle tasks", async () => {
  const open = new OpenChat("c");
  open.fold(CONTINUED);
  const done = new Promise((resolve) => runWhenIdle(() => resolve(true)));
  const tooLate = new Promise((resolve) => setTimeout(() => resolve(false), 500));
  const isDone = await Promise.race([done, tooLate]);
  open.transcript.messages.a.status = "stopped"; // Else a task that waits for its end would keep node running.
  assert.ok(isDone);
});

test("a deleted file changes every branch that has it", () => {
  const open = new OpenChat("c");
  const changed = [];
  open.onChanged = (ids) => changed.push(...ids);
  const files = [{ id: "f", kind: "image", name: "sea.jpg", bytes: 3, thumb: "data:image/webp;base64,AAAA" }];
  open.fold(["one", "two"].map((message, index) => [`${index + 1}-0`, { type: "message.created", message, role: "user", text: "", files }]));
  changed.length = 0;
  open.fold([["9-0", { type: "file.erased", file: "f" }]]);
  assert.deepEqual(changed.toSorted(), ["one", "two"]);
  assert.deepEqual(open.transcript.messages.one.files, [{ id: "f", kind: "image", name: "sea.jpg", bytes: 3, erased: true }]);
});
