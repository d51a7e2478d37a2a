import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { speak } from "../../../static/js/chat/speaking/browser_voice.js";

/** @type {any[]} */
let said;
/** @type {string[]} */
let seen;

beforeEach(() => {
  said = [];
  seen = [];
  globalThis.SpeechSynthesisUtterance = /** @type {any} */ (class {
    constructor(/** @type {string} */ text) {
      this.text = text;
    }
  });
  globalThis.speechSynthesis = /** @type {any} */ ({
    speak: (/** @type {any} */ utterance) => said.push(utterance),
    cancel: () => seen.push("cancel"),
  });
});

const begin = () => speak(["One.", "Two."], (number) => seen.push(`${number}`), () => seen.push("end"));
const texts = () => said.map(({ text }) => text);

test("one sentence after another, then the end", () => {
  begin();
  assert.deepEqual(texts(), ["One."]);
  said[0].onend();
  assert.deepEqual(texts(), ["One.", "Two."]);
  said[1].onend();
  assert.deepEqual(seen, ["cancel", "0", "1", "end"]);
});

test("nothing more is said after it was stopped", () => {
  const stop = begin();
  stop();
  said[0].onerror();
  said[0].onend();
  assert.deepEqual(texts(), ["One."]);
  assert.deepEqual(seen, ["cancel", "0", "cancel"]);
});

test("it ends if the browser cannot speak", () => {
  begin();
  said[0].onerror();
  assert.deepEqual(seen, ["cancel", "0", "end"]);
});
