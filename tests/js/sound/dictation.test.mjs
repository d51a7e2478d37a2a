import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../../../static/js/chat/api.js";
import { transcriptOf } from "../../../static/js/chat/sound/dictation.js";

function setUp(...states) {
  const controller = new AbortController();
  const waits = [];
  const looks = [];
  const look = async () => {
    looks.push(1);
    const state = states.shift();
    if (state instanceof Error) throw state;
    return state;
  };
  const wait = async (ms) => void waits.push(ms);
  return { text: () => transcriptOf(look, { signal: controller.signal, wait }), waits, looks, controller };
}

test("the text is waited for, with pauses that grow up to a bound", async () => {
  const waiting = { transcription: "waiting" };
  const { text, waits } = setUp(waiting, waiting, waiting, waiting, waiting, { transcription: "done", text: " Open it. " });
  assert.equal(await text(), "Open it.");
  assert.deepEqual(waits, [300, 600, 1_200, 2_000, 2_000]);
});

test("a failure has the reason of the server, and no means has none", async () => {
  const failed = setUp({ transcription: "failed", error_text: "The provider is busy." });
  await assert.rejects(failed.text(), { message: "The provider is busy.", code: "failed" });
  await assert.rejects(setUp({ transcription: "none" }).text(), { message: "", code: "none" });
  await assert.rejects(setUp({}).text(), { message: "" });
});

test("a lost connection is waited out, and a refusal is not", async () => {
  const lost = setUp(new ApiError({}), { transcription: "done", text: "Open it." });
  assert.equal(await lost.text(), "Open it.");
  const refused = setUp(new ApiError({ status: 404, code: "file_not_found", message: "Not there." }));
  await assert.rejects(refused.text(), { code: "file_not_found" });
});

test("nobody waits for a text that is not wanted any more", async () => {
  const { text, controller, looks, waits } = setUp({ transcription: "done", text: "Open it." });
  controller.abort();
  await assert.rejects(text(), { name: "AbortError" });
  assert.deepEqual([looks, waits], [[], []]);
});
