import assert from "node:assert/strict";
import { test } from "node:test";
import { isWav, msOf, msOfBytes, pcmOf, RATE, wavMs, wavOf } from "../../../static/js/chat/sound/wav.js";

const letters = (wav, at) => String.fromCharCode(...new Uint8Array(wav, at, 4));

test("a WAV has the header of 16 kHz mono in 16 bits, and the samples in their order", () => {
  const wav = wavOf([Int16Array.of(1, -2), Int16Array.of(32_767, -32_768, 0)]);
  const view = new DataView(wav);
  assert.equal(wav.byteLength, 44 + 10);
  assert.deepEqual([0, 8, 12, 36].map((at) => letters(wav, at)), ["RIFF", "WAVE", "fmt ", "data"]);
  assert.deepEqual([view.getUint32(4, true), view.getUint32(40, true)], [36 + 10, 10]);
  assert.deepEqual([20, 22, 32, 34].map((at) => view.getUint16(at, true)), [1, 1, 2, 16]);
  assert.deepEqual([view.getUint32(24, true), view.getUint32(28, true)], [16_000, 32_000]);
  assert.deepEqual([...new Int16Array(wav, 44)], [1, -2, 32_767, -32_768, 0]);
});

test("what is too loud is clipped, and does not turn over", () => {
  assert.deepEqual([...pcmOf(Float32Array.of(0, 1, -1, 7, -7, 0.5))], [0, 32_767, -32_767, 32_767, -32_768, 16_384]);
});

test("the length of a WAV is known by its header, also with chunks before the samples", () => {
  const wav = wavOf([new Int16Array(RATE / 2)]);
  assert.equal(wavMs(wav), 500);
  assert.equal(msOfBytes(wav.byteLength), 500);
  assert.equal(msOf(RATE), 1_000);
  const list = Uint8Array.from([..."LIST"].map((one) => one.charCodeAt(0)).concat([3, 0, 0, 0, 1, 2, 3, 0]));
  const bytes = new Uint8Array(wav);
  const longer = Uint8Array.from([...bytes.slice(0, 36), ...list, ...bytes.slice(36)]);
  assert.equal(wavMs(longer.buffer), 500);
});

test("what lies about its length, is cut or is something else harms nothing", () => {
  const wav = wavOf([new Int16Array(RATE)]);
  new DataView(wav).setUint32(40, 0xffffffff, true);
  assert.equal(wavMs(wav), 1_000);
  for (const length of [0, 3, 12, 20, 40, 44]) assert.ok(!(wavMs(wav.slice(0, length)) > 0), String(length));
  assert.equal(wavMs(new TextEncoder().encode("ID3 and so on, which is no RIFF at all").buffer), null);
  assert.equal(isWav(new ArrayBuffer(0)), false);
});
