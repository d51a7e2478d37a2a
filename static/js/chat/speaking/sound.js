// The sound of an answer that is read aloud: one element for the whole page.
import { effect, signal } from "../../signals.js";
import { leaveTurn, speed, takeTurn } from "../sound/playing.js";

export const isPlaying = signal(false);
export const atMs = signal(0);

/** @type {HTMLAudioElement | null} */
let audio = null;
let title = "";
/** @type {(ms: number) => void} */
let onTime = () => {};
let onBroken = () => {};

/** Call it in the click: some browsers play nothing that was created later. */
export function createSound() {
  if (audio) return;
  const created = new Audio();
  audio = created;
  created.preload = "auto";
  created.addEventListener("play", () => (isPlaying.value = true));
  created.addEventListener("pause", () => (isPlaying.value = false));
  created.addEventListener("timeupdate", follow);
  created.addEventListener("seeking", follow);
  created.addEventListener("ended", () => seek(0));
  created.addEventListener("error", () => created.hasAttribute("src") && onBroken());
  effect(() => {
    created.playbackRate = created.defaultPlaybackRate = speed.value;
  });
}

function follow() {
  atMs.value = (audio?.currentTime ?? 0) * 1_000;
  onTime(atMs.peek());
}

/**
 * Load a sound and play it. If the browser does not allow that now, it stays paused.
 * @param {string} address
 * @param {string} name
 * @param {{onTime: (ms: number) => void, onBroken: () => void}} listeners
 */
export function playSound(address, name, listeners) {
  load(address, name, listeners);
  play();
}

/**
 * Load a sound that was heard up to this place by other means, and go on there, or stay paused there.
 * @param {string} address
 * @param {string} name
 * @param {{onTime: (ms: number) => void, onBroken: () => void}} listeners
 * @param {{heardMs: () => number, isPlaying: boolean, onTaken: () => void}} before `onTaken`: this one is heard now
 */
export function continueSound(address, name, listeners, { heardMs, isPlaying: goesOn, onTaken }) {
  load(address, name, listeners);
  const element = audio;
  if (!element) return;
  const take = () => {
    if (element.getAttribute("src") !== address) return;
    seek(heardMs());
    if (goesOn) play();
    onTaken();
  };
  element.addEventListener("canplay", take, { once: true });
}

/**
 * @param {string} address
 * @param {string} name
 * @param {{onTime: (ms: number) => void, onBroken: () => void}} listeners
 */
function load(address, name, listeners) {
  if (!audio) return;
  ({ onTime, onBroken } = listeners);
  title = name;
  audio.src = address;
}

export function play() {
  if (!audio) return;
  takeTurn(audio, title);
  audio.play().catch(() => {});
}

export const pause = () => audio?.pause();

/** @param {number} ms */
export function seek(ms) {
  atMs.value = ms;
  if (audio) audio.currentTime = ms / 1_000;
}

/** Let go of the sound. */
export function endSound() {
  if (!audio) return;
  onTime = onBroken = () => {};
  leaveTurn(audio);
  audio.removeAttribute("src");
  audio.load();
  atMs.value = 0;
}
