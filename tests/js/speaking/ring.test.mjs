import assert from "node:assert/strict";
import test from "node:test";
import { Ring } from "../../../static/js/chat/speaking/ring_worklet.js";

const RATE = 24_000;
const BLOCK = 128;

function block(ring) {
  const out = new Float32Array(BLOCK).fill(9);
  ring.fill(out);
  return out;
}

const samples = (count, first = 0) => Int16Array.from({ length: count }, (_, n) => ((first + n) % 30_000) - 15_000);

test("nothing is heard before there is a cushion of 250 ms", () => {
  const ring = new Ring(RATE);
  ring.add(samples(5_999));
  assert.ok(block(ring).every((value) => value === 0));
  ring.add(samples(1, 5_999));
  assert.equal(block(ring)[0], -15_000 / 0x8000);
  assert.deepEqual([ring.heard, ring.waiting, ring.underruns], [BLOCK, 6_000 - BLOCK, 0]);
});

test("every sample is heard once and in order, however it comes", () => {
  const ring = new Ring(RATE);
  const whole = samples(20_000);
  for (let at = 0; at < whole.length; at += 777) ring.add(whole.subarray(at, at + 777));
  ring.add(new Int16Array());
  ring.end();
  const heard = [];
  while (!ring.isDone) heard.push(...block(ring));
  assert.deepEqual(heard.slice(0, whole.length), [...whole].map((value) => value / 0x8000));
  assert.ok(heard.slice(whole.length).every((value) => value === 0));
  assert.deepEqual([ring.heard, ring.underruns], [20_000, 0]);
});

test("what is shorter than the cushion is heard at its end", () => {
  const ring = new Ring(RATE);
  ring.add(samples(100));
  block(ring);
  assert.equal(ring.heard, 0);
  ring.end();
  block(ring);
  assert.deepEqual([ring.heard, ring.isDone, ring.underruns], [100, true, 0]);
  const empty = new Ring(RATE);
  empty.end();
  assert.ok(empty.isDone);
});

test("a gap is counted once, and doubles the cushion up to four seconds", () => {
  const ring = new Ring(RATE);
  for (let gaps = 1, cushion = 6_000; gaps < 8; gaps++) {
    ring.add(samples(cushion - 1));
    const before = ring.heard;
    block(ring);
    assert.equal(ring.heard, before);
    ring.add(samples(1));
    while (ring.waiting > 0) block(ring);
    // The last block may have been full.
    block(ring);
    block(ring);
    cushion = Math.min(cushion * 2, 4 * RATE);
    assert.deepEqual([ring.underruns, ring.cushion], [gaps, cushion]);
  }
});

test("ten minutes of pieces that come up to 200 ms late has no gap after the cushion has grown", () => {
  const ring = new Ring(RATE);
  const [piece, lateness] = [RATE / 10, 0.2];
  let random = 1;
  const next = () => (random = (random * 48_271) % 2_147_483_647) / 2_147_483_647;
  const arrivals = Array.from({ length: 6_000 }, (_, n) => n / 10 + next() * lateness);
  let at = 0;
  for (let time = 0, latest = 0; at < arrivals.length; time += BLOCK / RATE) {
    // In their order, as over one connection.
    while (at < arrivals.length && Math.max(latest, arrivals[at]) <= time) {
      latest = Math.max(latest, arrivals[at]);
      ring.add(samples(piece));
      at++;
    }
    block(ring);
  }
  assert.equal(ring.underruns, 0);
});
