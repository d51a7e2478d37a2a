import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { sha256 } from "../../../static/js/chat/files/sha256.js";


/** What a page without digests computes. */
const withoutSubtle = async (data) => {
  const { subtle } = globalThis.crypto;
  Object.defineProperty(globalThis, "crypto", { value: { subtle: undefined }, configurable: true });
  try {
    return await sha256(data);
  } finally {
    Object.defineProperty(globalThis, "crypto", { value: { subtle }, configurable: true });
  }
};

test("digests are right at every length of the last block, with and without the browser's help", async () => {
  for (const length of [0, 1, 3, 55, 56, 63, 64, 65, 119, 120, 128, 1_000, 1_048_576 + 70]) {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 31 + length) & 255);
    const expected = createHash("sha256").update(bytes).digest("hex");
    assert.equal(await withoutSubtle(bytes.buffer), expected, `${length} bytes`);
    assert.equal(await sha256(bytes.buffer), expected);
  }
});
