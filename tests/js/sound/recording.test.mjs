import assert from "node:assert/strict";
import { test } from "node:test";
import { levelOf, Recording } from "../../../static/js/chat/sound/recording.js";
import { RATE, wavMs } from "../../../static/js/chat/sound/wav.js";

/** A recording with a microphone that hears what the test says, at 16 kHz. */
function setUp({ mostMs, refuse = () => null } = {}) {
  const kept = new Map();
  const seen = { opened: 0, closed: 0, on: [], listeners: null };
  const open = async (listeners) => {
    seen.opened += 1;
    const code = refuse(seen.opened);
    if (code) throw Object.assign(new Error(code), { code });
    seen.listeners = listeners;
    return { rate: RATE, listen: (isOn) => seen.on.push(isOn), close: () => (seen.closed += 1) };
  };
  const recording = new Recording({ open, keep: (index, samples) => kept.set(index, samples), mostMs });
  const hear = (count, value = 0.5) => seen.listeners.onSamples(new Float32Array(count).fill(value));
  return { recording, kept, seen, hear };
}

test("each second is kept as it is complete, and the rest with a pause", async () => {
  const { recording, kept, hear } = setUp();
  await recording.listen();
  assert.equal(recording.state.value, "recording");
  hear(RATE + 100);
  assert.deepEqual([...kept.keys()], [0]);
  hear(2 * RATE);
  assert.deepEqual([...kept.keys()], [0, 1, 2]);
  recording.pause();
  assert.deepEqual([...kept].map(([index, { length }]) => [index, length]), [[0, RATE], [1, RATE], [2, RATE], [3, 100]]);
  assert.equal(recording.elapsedMs.value, 3_006.25);
  await recording.listen();
  hear(RATE);
  assert.equal(kept.get(3).length, RATE);
  recording.end();
  assert.deepEqual([...kept.keys()], [0, 1, 2, 3, 4]);
  assert.equal(wavMs(recording.wav()), 4_006.25);
});

test("what is kept is what was heard", async () => {
  const { recording, kept, seen } = setUp();
  await recording.listen();
  const heard = Float32Array.from({ length: 40_000 }, (_, at) => ((at * 7) % 2_000) / 2_000 - 0.5);
  for (let at = 0; at < heard.length; at += 333) seen.listeners.onSamples(heard.slice(at, at + 333));
  recording.end();
  const wanted = Int16Array.from(heard, (sample) => Math.round(sample * 32_767));
  const pieces = [...kept.values()];
  assert.deepEqual(pieces.flatMap((piece) => [...piece]), [...wanted]);
  assert.deepEqual([...new Int16Array(recording.wav(), 44)], [...wanted]);
});

test("nothing is heard while it is paused", async () => {
  const { recording, seen, hear } = setUp();
  await recording.listen();
  hear(100);
  recording.pause();
  hear(5_000);
  assert.equal(recording.elapsedMs.value, 6.25);
  await recording.listen();
  assert.deepEqual(seen.on, [true, false, true]);
  assert.equal(seen.opened, 1);
});

test("a microphone that is lost leaves what was recorded, and another one goes on with it", async () => {
  const { recording, kept, seen, hear } = setUp();
  await recording.listen();
  hear(RATE + 50);
  seen.listeners.onLost();
  assert.deepEqual([recording.state.value, recording.problem.value, seen.closed], ["paused", "lost", 1]);
  assert.equal(kept.get(1).length, 50);
  await recording.listen();
  assert.deepEqual([recording.state.value, recording.problem.value, seen.opened], ["recording", null, 2]);
  hear(RATE);
  recording.end();
  assert.equal(wavMs(recording.wav()), 2_003.125);
});

test("without a microphone it says why, and can be tried again", async () => {
  const { recording, hear } = setUp({ refuse: (times) => ["refused", "missing"][times - 1] });
  await recording.listen();
  assert.deepEqual([recording.state.value, recording.problem.value], ["starting", "refused"]);
  await recording.listen();
  assert.equal(recording.problem.value, "missing");
  await recording.listen();
  assert.deepEqual([recording.state.value, recording.problem.value], ["recording", null]);
  hear(10);
});

test("a microphone that is asked for twice at once is opened once", async () => {
  const { recording, seen } = setUp();
  await Promise.all([recording.listen(), recording.listen()]);
  recording.end();
  assert.deepEqual([seen.opened, seen.closed], [1, 1]);
});

test("if the microphone does not come back, what was recorded stays", async () => {
  const { recording, seen, hear } = setUp({ refuse: (times) => times > 1 && "busy" });
  await recording.listen();
  hear(RATE);
  seen.listeners.onLost();
  await recording.listen();
  assert.deepEqual([recording.state.value, recording.problem.value], ["paused", "busy"]);
  assert.equal(wavMs(recording.wav()), 1_000);
});

test("at its longest it ends itself, to the sample, and is kept", async () => {
  const { recording, kept, seen, hear } = setUp({ mostMs: 2_500 });
  await recording.listen();
  for (let turn = 0; turn < 10; turn++) hear(7_000);
  assert.deepEqual([recording.state.value, recording.problem.value, recording.isFull, seen.closed], ["paused", "full", true, 1]);
  assert.equal(wavMs(recording.wav()), 2_500);
  assert.deepEqual([...kept.values()].map(({ length }) => length), [RATE, RATE, RATE / 2]);
  await recording.listen();
  assert.equal(recording.state.value, "paused");
});

test("a recording that is ended while the browser asks does not begin", async () => {
  const { recording, seen } = setUp();
  const listening = recording.listen();
  recording.end();
  await listening;
  assert.deepEqual([recording.state.value, seen.closed, seen.on], ["ended", 1, []]);
});

test("the bars of the waveform follow how loud it is", async () => {
  const { recording, hear } = setUp();
  await recording.listen();
  hear(1_600, 0);
  hear(1_600, 0.01);
  hear(1_600, 0.2);
  const [silent, quiet, loud] = recording.levels;
  assert.equal(silent, 0);
  assert.ok(quiet > 0.1 && quiet < 0.5 && loud > 0.7 && loud <= 1, `${quiet} ${loud}`);
  assert.equal(levelOf(1), 1);
});
