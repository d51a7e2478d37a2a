import assert from "node:assert/strict";
import { test } from "node:test";
import { Resampler } from "../../../static/js/chat/sound/resampler.js";

const TO = 16_000;
const RATES = [8_000, 16_000, 44_100, 48_000, 96_000];

const tone = (rate, hz, seconds = 1) => Float32Array.from({ length: rate * seconds }, (_, at) => Math.sin((2 * Math.PI * hz * at) / rate));

function resampled(rate, samples, sizes = [2_048]) {
  const resampler = new Resampler(rate, TO);
  const made = [];
  for (let at = 0, turn = 0; at < samples.length; turn++) {
    const size = sizes[turn % sizes.length];
    made.push(...resampler.take(samples.subarray(at, at + size)));
    at += size;
  }
  return Float32Array.from([...made, ...resampler.end()]);
}

/** The loudness of everything but the beginning and the end. */
function loudness(samples) {
  const middle = samples.subarray(1_000, -1_000);
  return Math.sqrt(middle.reduce((sum, sample) => sum + sample * sample, 0) / middle.length);
}

for (const rate of RATES) {
  test(`a tone of ${rate} samples a second is the same tone, as long as before`, () => {
    const made = resampled(rate, tone(rate, 440));
    const wanted = tone(TO, 440);
    assert.ok(Math.abs(made.length - TO) <= 1, `${made.length} samples`);
    for (let at = 200; at < TO - 200; at++) assert.ok(Math.abs(made[at] - wanted[at]) < 0.01, `sample ${at}: ${made[at]} for ${wanted[at]}`);
  });
}

test("frequencies that the new rate cannot have are not heard as others", () => {
  for (const rate of [44_100, 48_000]) {
    for (const hz of [9_500, 12_000, 15_000, 20_000]) assert.ok(loudness(resampled(rate, tone(rate, hz))) < 0.002, `${hz} Hz of ${rate}`);
    assert.ok(loudness(resampled(rate, tone(rate, 6_500))) > 0.69);
  }
});

test("the pieces in which sound arrives make no difference", () => {
  const samples = tone(44_100, 1_000, 0.5);
  const whole = resampled(44_100, samples, [samples.length]);
  for (const sizes of [[128], [1], [7, 5_000, 333]]) assert.deepEqual(resampled(44_100, samples, sizes), whole);
});
