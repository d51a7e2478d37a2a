// Reads answers aloud, one at a time: by the sound that the server makes, or by the browser's voice. It ends with a
// second click, Escape, or when the chat is left.
import { signal } from "../../signals.js";
import { call } from "../api.js";
import { isComposing } from "../lib/input_method.js";
import { plainText } from "../lib/plain_text.js";
import { Speech } from "../speech.js";
import { speak } from "./browser_voice.js";
import { Marks } from "./marks.js";
import { orderSpeech } from "./order.js";
import { sentenceAt } from "./places.js";
import { createSound, endSound, playSound } from "./sound.js";
import { own } from "./texts.js";

/** @typedef {import("../log/fold.js").Message} Message */
/** @typedef {{file: import("../log/fold.js").File, spans: number[][]}} Sound */
/** @typedef {{id: string, isByBrowser: boolean, sound: Sound | null, problem: string}} Reading */
/** @typedef {{canSpeak: boolean, chatId: import("../../../vendor/preact-signals-core-1.14.5/signals-core.js").Signal<string | null>}} Store */

/** What is read aloud; null for nothing. */
export const reading = signal(/** @type {Reading | null} */ (null));

let end = () => {};

/**
 * Begin, or end what is being read.
 * @param {Store} store
 * @param {{id: string}} chat
 * @param {Message} message
 */
export function toggle(store, chat, message) {
  const now = reading.peek();
  stop();
  if (now?.id === message.id && !now.problem) return;
  const leaving = store.chatId.subscribe((id) => id !== chat.id && stop());
  addEventListener("keydown", stopOnEscape);
  const finish = store.canSpeak ? bySound(chat, message) : byBrowser(message);
  end = () => {
    leaving();
    removeEventListener("keydown", stopOnEscape);
    finish();
  };
}

export function stop() {
  const finish = end;
  end = () => {};
  finish();
  reading.value = null;
}

/** @param {KeyboardEvent} event */
function stopOnEscape(event) {
  if (event.key !== "Escape" || event.defaultPrevented || isComposing(event)) return;
  const id = reading.peek()?.id;
  const hadFocus = document.activeElement?.closest(".speech-bar");
  stop();
  if (hadFocus) /** @type {HTMLElement | null} */ (document.querySelector(`#m-${id} .read-aloud`))?.focus();
}

/** @param {Message} message */
function byBrowser(message) {
  const sentences = new Speech().take(message.text, true);
  const marks = new Marks(message.id, sentences);
  reading.value = { id: message.id, isByBrowser: true, sound: null, problem: "" };
  // The end may come at once, before there is something to stop.
  const finish = speak(sentences, (number) => marks.show(number), () => queueMicrotask(stop));
  return () => (finish(), marks.clear());
}

/**
 * @param {{id: string}} chat
 * @param {Message} message
 */
function bySound(chat, message) {
  const begun = { id: message.id, isByBrowser: false, sound: null, problem: "" };
  let isWanted = true;
  let endBrowser = () => {};
  /** @type {Marks | null} */
  let marks = null;
  reading.value = begun;
  createSound();
  /** @param {string} problem */
  const fail = (problem) => {
    if (!isWanted) return; // Something else is heard now.
    endSound();
    marks?.clear();
    reading.value = { ...begun, problem };
  };
  /** @param {Sound} sound @param {() => void} onBroken */
  const hear = (sound, onBroken) => {
    marks = new Marks(message.id, sound.spans.map(([first, last]) => plainText(message.text.slice(first, last))));
    reading.value = { ...begun, sound };
    playSound(`/files/${sound.file.id}/original`, sound.file.name.replace(/\.wav$/, ""), { onTime: follower(marks, sound.spans), onBroken });
  };
  const order = async () => {
    reading.value = begun;
    try {
      const sound = await orderSpeech((method) => call(method, `/api/chats/${chat.id}/messages/${message.id}/speech`), {
        wait: (ms) => new Promise((done) => setTimeout(done, ms)),
        isWanted: () => isWanted,
        unanswered: own.unanswered,
      });
      if (sound) hear(sound, () => fail(own.notPlayed));
    } catch (error) {
      const problem = /** @type {import("../api.js").ApiError} */ (error);
      // The server's voice does not speak the language of this answer; one of the browser's may.
      if (problem.code === "speech_language" && isWanted && speechSynthesis.getVoices().length) {
        endSound();
        endBrowser = byBrowser(message);
      } else fail(problem.message);
    }
  };
  // The one that the chat has may have been deleted a moment ago.
  if (message.audio) hear(message.audio, () => void order());
  else void order();
  return () => {
    isWanted = false;
    endBrowser();
    endSound();
    marks?.clear();
  };
}

/**
 * Marks the sentence that is spoken, when it changes.
 * @param {Marks} marks
 * @param {number[][]} spans
 */
function follower(marks, spans) {
  let shown = -1;
  return (/** @type {number} */ ms) => {
    const number = sentenceAt(spans, ms);
    if (number !== shown) marks.show((shown = number));
  };
}
