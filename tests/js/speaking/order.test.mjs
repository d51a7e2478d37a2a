import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError } from "../../../static/js/chat/api.js";
import { orderSpeech } from "../../../static/js/chat/speaking/order.js";

const DONE = { speech: "done", file: { id: "f1" }, spans: [] };
const WAITING = { speech: "waiting" };

/**
 * Orders with these answers of the server, one after another; an error is thrown.
 * @param {any[]} answers
 * @param {{stopAfter?: number}} [options]
 */
function ordered(answers, { stopAfter = Infinity } = {}) {
  const asked = [];
  const ask = async (/** @type {string} */ method) => {
    asked.push(method);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const result = orderSpeech(ask, { wait: async () => {}, isWanted: () => asked.length < stopAfter, unanswered: "unreachable" });
  return { asked, result };
}

test("one that is made already comes at once", async () => {
  const { asked, result } = ordered([DONE]);
  assert.equal(await result, DONE);
  assert.deepEqual(asked, ["POST"]);
});

test("the page asks until it is made, also over a lost connection", async () => {
  const { asked, result } = ordered([WAITING, WAITING, new ApiError({}), DONE]);
  assert.equal(await result, DONE);
  assert.deepEqual(asked, ["POST", "GET", "GET", "GET"]);
});

test("the end of the answer may not be noted yet", async () => {
  const early = () => new ApiError({ status: 409, code: "not_possible_now", message: "Not yet" });
  const { asked, result } = ordered([early(), early(), DONE]);
  assert.equal(await result, DONE);
  assert.deepEqual(asked, ["POST", "POST", "POST"]);
  await assert.rejects(ordered(Array.from({ length: 9 }, early)).result, { message: "Not yet" });
});

test("a refusal is told in its own words", async () => {
  await assert.rejects(ordered([new ApiError({ status: 413, code: "speech_too_long", message: "Too long" })]).result, { message: "Too long" });
  await assert.rejects(ordered([new ApiError({})]).result, { message: "unreachable" });
  await assert.rejects(ordered([WAITING, { speech: "failed", error: { code: "refused", message: "Refused" } }]).result, { message: "Refused" });
  await assert.rejects(ordered([WAITING, new ApiError({ status: 404, code: "chat_not_found", message: "Gone" })]).result, { message: "Gone" });
});

test("who has stopped meanwhile hears nothing", async () => {
  const { asked, result } = ordered([WAITING, DONE], { stopAfter: 1 });
  assert.equal(await result, null);
  assert.deepEqual(asked, ["POST"]);
});
