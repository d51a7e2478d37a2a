import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { balanceDollars, dollars } from "../../../static/js/chat/lib/money.js";

const vectors = JSON.parse(readFileSync(new URL("../../vectors/money.json", import.meta.url)));

test("amounts are written as Python writes them", () => {
  for (const [amount, written] of vectors.dollars) assert.equal(dollars(amount), written);
  for (const [amount, written] of vectors.signed) assert.equal(dollars(amount, { sign: true }), written);
  for (const [amount, written] of vectors.balance) assert.equal(balanceDollars(amount), written);
});
