// The sound of an answer that is read aloud: one element for the whole page. It and the other sounds of the page are
// not heard at the same time. The keys of the keyboard, the headset and the lock screen control it.
import { signal } from "../../signals.js";

export const SPEEDS = [1, 1.25, 1.5, 2, 0.75];
export const speed = signal(1);
export const isPlaying = signal(false);
export const atMs = signal(0);

const STEP_S = 10;
/** @type {HTMLAudioElement | null} */
let audio = null;
/** @type {(ms: number) => void} */
let onTime = () => {};
let onBroken = () => {};

/** Call it in the click: some browsers play nothing that was created later. */
export function createSound() {
  if (audio) return;
  audio = new Audio();
  audio.preload = "auto";
  audio.addEventListener("play", () => (isPlaying.value = true));
  audio.addEventListener("pause", () => (isPlaying.value = false));
  audio.addEventListener("timeupdate", follow);
  audio.addEventListener("seeking", follow);
  audio.addEventListener("ended", () => seek(0));
  audio.addEventListener("error", () => audio?.hasAttribute("src") && onBroken());
  // Another sound of the page.
  document.addEventListener("play", ({ target }) => target !== audio && audio?.pause(), true);
}

function follow() {
  atMs.value = (audio?.currentTime ?? 0) * 1_000;
  onTime(atMs.peek());
}

/**
 * Load a sound and play it. If the browser does not allow that now, it stays paused.
 * @param {string} address
 * @param {string} title
 * @param {{onTime: (ms: number) => void, onBroken: () => void}} listeners
 */
export function playSound(address, title, listeners) {
  if (!audio) return;
  ({ onTime, onBroken } = listeners);
  audio.src = address;
  audio.playbackRate = audio.defaultPlaybackRate = speed.peek();
  showTitle(title);
  play();
}

export function play() {
  for (const other of document.querySelectorAll("audio")) other.pause();
  audio?.play().catch(() => {});
}

export const pause = () => audio?.pause();

/** @param {number} ms */
export function seek(ms) {
  atMs.value = ms;
  if (audio) audio.currentTime = ms / 1_000;
}

export function nextSpeed() {
  speed.value = SPEEDS[(SPEEDS.indexOf(speed.peek()) + 1) % SPEEDS.length];
  if (audio) audio.playbackRate = audio.defaultPlaybackRate = speed.peek();
}

/** Let go of the sound. */
export function endSound() {
  if (!audio) return;
  onTime = onBroken = () => {};
  audio.pause();
  audio.removeAttribute("src");
  audio.load();
  atMs.value = 0;
  showTitle(null);
}

/** @param {string | null} title */
function showTitle(title) {
  const session = navigator.mediaSession;
  if (!session || !globalThis.MediaMetadata) return;
  session.metadata = title === null ? null : new MediaMetadata({ title });
  /** @param {MediaSessionActionDetails} details */
  const jump = ({ action, seekTime, seekOffset = STEP_S }) => {
    const to = seekTime ?? atMs.peek() / 1_000 + (action === "seekbackward" ? -seekOffset : seekOffset);
    seek(Math.max(0, to) * 1_000);
  };
  const handlers = { play, pause, seekbackward: jump, seekforward: jump, seekto: jump };
  for (const [action, handler] of Object.entries(handlers)) {
    try {
      session.setActionHandler(/** @type {MediaSessionAction} */ (action), title === null ? null : handler);
    } catch {
      // This browser does not know the action.
    }
  }
}
