// Reads answers aloud, one at a time: by the sound that the server makes, or by the browser's voice. It ends with a
// second click, Escape, or when the chat is left.
import { signal } from "../../signals.js";
import { call } from "../api.js";
import { isComposing } from "../lib/input_method.js";
import { plainText } from "../lib/plain_text.js";
import { Speech } from "../speech.js";
import { speak } from "./browser_voice.js";
import { Marks } from "./marks.js";
import { LiveSound } from "./live_sound.js";
import { orderSpeech } from "./order.js";
import { sentenceAt } from "./places.js";
import { continueSound, createSound, endSound, play, playSound, seek } from "./sound.js";
import { own } from "./texts.js";
import { seekByWords } from "./word_seeking.js";

/** @typedef {import("../log/fold.js").Message} Message */
/** @typedef {{file: import("../log/fold.js").File, spans: number[][]}} Sound */
/** @typedef {{id: string, isByBrowser: boolean, sound: Sound | null, live?: LiveSound | null, problem: string}} Reading */
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
  const finish = begin(store, chat, message);
  end = () => {
    leaving();
    removeEventListener("keydown", stopOnEscape);
    finish();
  };
}

/**
 * @param {Store} store
 * @param {{id: string}} chat
 * @param {Message} message
 */
function begin(store, chat, message) {
  if (message.sound) return whileSpoken(store, chat, message);
  return store.canSpeak || message.audio ? bySound(chat, message, store.canSpeak) : byBrowser(message);
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

// What is heard while it is spoken has been stored as a file.
let onStored = () => {};

/**
 * Call it when a message has its sound as a file.
 * @param {string} id of the message
 */
export function goOnFromFile(id) {
  if (reading.peek()?.id === id) onStored();
}

/**
 * Play an answer that its model is speaking; later from the file, where it was.
 * @param {Store} store
 * @param {{id: string}} chat
 * @param {Message} message
 */
function whileSpoken(store, chat, message) {
  const begun = { id: message.id, isByBrowser: false, sound: null, problem: "" };
  createSound();
  let isLive = true;
  let finish = () => {};
  const live = new LiveSound(`/files/${message.sound}/live`, own.live, {
    // The file comes a moment later.
    onEnd: () => message.audio && onStored(),
    onBroken: () => {
      live.close();
      reading.value = { ...begun, problem: own.notPlayed };
    },
  });
  reading.value = { ...begun, live };
  onStored = () => {
    if (!isLive || !message.audio) return;
    isLive = false;
    const { isDone } = live.state.peek();
    const before = { heardMs: () => (isDone ? 0 : live.heardMs), isPlaying: live.isPlaying.peek() && !isDone, onTaken: () => live.close() };
    finish = bySound(chat, message, store.canSpeak, before);
  };
  return () => {
    isLive = false;
    onStored = () => {};
    live.close();
    finish();
  };
}

/**
 * @param {{id: string}} chat
 * @param {Message} message
 * @param {boolean} canOrder whether the server reads aloud
 * @param {Parameters<typeof continueSound>[3] | null} before what is heard until the file is
 */
function bySound(chat, message, canOrder, before = null) {
  const begun = { id: message.id, isByBrowser: false, sound: null, problem: "" };
  let isWanted = true;
  let endBrowser = () => {};
  let endSeeking = () => {};
  /** @type {Marks | null} */
  let marks = null;
  // Until the file is heard, the player stays as it is.
  if (!before) reading.value = begun;
  createSound();
  /** @param {string} problem */
  const fail = (problem) => {
    if (!isWanted) return; // Something else is heard now.
    endSeeking();
    endSound();
    marks?.clear();
    reading.value = { ...begun, problem };
  };
  /** @param {Sound} sound @param {() => void} onBroken */
  const hear = (sound, onBroken) => {
    const shown = (marks = new Marks(message.id, sound.spans.map(([first, last]) => plainText(message.text.slice(first, last)))));
    endSeeking();
    endSeeking = seekByWords((node, offset) => shown.msAt(sound.spans, node, offset), (ms) => (seek(ms), play()));
    reading.value = { ...begun, sound };
    const [address, name] = [`/files/${sound.file.id}/original`, sound.file.name.replace(/\.wav$/, "")];
    const listeners = { onTime: follower(shown, sound.spans), onBroken };
    if (before) continueSound(address, name, listeners, before);
    else playSound(address, name, listeners);
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
  if (message.audio) hear(message.audio, () => (canOrder ? void order() : fail(own.notPlayed)));
  else void order();
  return () => {
    isWanted = false;
    endBrowser();
    endSeeking();
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
