import assert from "node:assert/strict";
import test from "node:test";
import { costsOf } from "../../../static/js/chat/log/costs.js";
import { Credit } from "../../../static/js/chat/credit.js";

const balance = (amount, level) => ({ balance_micro_usd: amount, held_micro_usd: 0, level, free_credit_at: null, can_top_up: true });
const refusal = { code: "out_of_credit", message: "Your credit does not cover this." };

test("nothing is told while there is enough, or where nobody pays", () => {
  assert.equal(new Credit(balance(5_000_000, "ok")).notice.value, null);
  assert.equal(new Credit(null).notice.value, null);
});

test("a refusal is told until there is more", () => {
  const credit = new Credit(balance(50_000, "low"));
  assert.equal(credit.takesRefusal({ code: "message_too_long", message: "" }), false);
  assert.equal(credit.takesRefusal(refusal), true);
  assert.deepEqual(credit.notice.value, { kind: "refused", message: refusal.message });
  credit.set(balance(50_000, "low"));
  assert.equal(credit.notice.value.kind, "refused");
  credit.set(balance(20_050_000, "ok"));
  assert.equal(credit.notice.value, null);
});

test("more that is still nothing changes nothing", () => {
  const credit = new Credit(balance(-2_000_000, "empty"));
  credit.takesRefusal(refusal);
  credit.set(balance(-1_000_000, "empty"));
  assert.equal(credit.notice.value.kind, "refused");
});

test("a low balance can be put away, an empty one cannot, and a later one is told again", () => {
  const credit = new Credit(balance(50_000, "low"));
  credit.dismiss();
  assert.equal(credit.notice.value, null);
  credit.set(balance(0, "empty"));
  assert.equal(credit.notice.value.kind, "empty");
  credit.set(balance(5_000_000, "ok"));
  credit.set(balance(50_000, "low"));
  assert.equal(credit.notice.value.kind, "low");
});

test("all branches count, by model, the dearest first", () => {
  const answer = (model, cost, tokens) => ({ role: "assistant", model, cost_micro_usd: cost, usage: { prompt_tokens: tokens, completion_tokens: 1 } });
  const transcript = {
    messages: {
      a: { role: "user" },
      b: answer("cheap", 10, 5),
      c: answer("dear", 900, 7),
      d: answer("cheap", 20, 5),
      e: answer("local", null, 50),
      f: { role: "assistant", model: "dear", usage: null, cost_micro_usd: null },
    },
  };
  const { total, rows } = costsOf(transcript);
  assert.equal(total, 930);
  assert.deepEqual(rows.map((row) => [row.model, row.answers, row.tokens, row.cost]), [
    // The tokens that the answers show, without those of the prompts.
    ["dear", 1, 1, 900],
    ["cheap", 2, 2, 30],
    ["local", 1, 1, 0],
  ]);
});

test("whoever writes to a model that costs nothing is not told that credit ends, but what was refused", () => {
  const credit = new Credit(balance(0, "empty"), () => true);
  assert.equal(credit.notice.value, null);
  credit.takesRefusal(refusal);
  assert.equal(credit.notice.value.kind, "refused");
});

test("the same refusal again is told again", () => {
  const credit = new Credit(balance(0, "empty"));
  const told = [];
  for (let times = 0; times < 2; times += 1) {
    credit.takesRefusal(refusal);
    told.push(credit.notice.value, credit.refusals);
  }
  assert.deepEqual(told[0], told[2]);
  assert.notEqual(told[0], told[2]);
  assert.notEqual(told[1], told[3]);
});

test("what a provider took for calls with one's own key was not paid from credit", () => {
  const answer = (model, cost) => ({ role: "assistant", model, cost_micro_usd: cost, usage: { prompt_tokens: 1, completion_tokens: 1 } });
  const { total, ofKeys, rows } = costsOf({ messages: { a: answer("openrouter/x", 10), b: answer("my-openrouter/x", 700) } });
  assert.deepEqual([total, ofKeys], [10, 700]);
  assert.deepEqual(rows.map(({ isOwn }) => isOwn), [true, false]);
});
