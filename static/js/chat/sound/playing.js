// Sounds are played one at a time. The keys of the keyboard, the headset and the lock screen control the one that was
// played last.
import { signal } from "../../signals.js";

export const SPEEDS = [1, 1.25, 1.5, 2, 0.75];
/** How fast sounds are played, on this page. */
export const speed = signal(1);

/**
 * An audio element, or what is like one.
 * @typedef {{play: () => Promise<void>, pause: () => void, currentTime: number}} Playable
 */

/** @type {Playable | null} */
let current = null;

/**
 * Play this one, and no other.
 * @param {Playable} audio
 * @param {string} title
 */
export function takeTurn(audio, title) {
  if (current !== audio) current?.pause();
  current = audio;
  const session = navigator.mediaSession;
  if (!session || !globalThis.MediaMetadata) return;
  session.metadata = new MediaMetadata({ title });
  /** @param {MediaSessionActionDetails} details */
  const seek = ({ action, seekTime, seekOffset = 10 }) => {
    audio.currentTime = seekTime ?? Math.max(0, audio.currentTime + (action === "seekbackward" ? -seekOffset : seekOffset));
  };
  handle(session, { play: () => void audio.play(), pause: () => audio.pause(), seekbackward: seek, seekforward: seek, seekto: seek });
}

/** The sound is on the page no more. @param {Playable} audio */
export function leaveTurn(audio) {
  audio.pause();
  if (current !== audio) return;
  current = null;
  const session = navigator.mediaSession;
  if (!session) return;
  session.metadata = null;
  handle(session, { play: null, pause: null, seekbackward: null, seekforward: null, seekto: null });
}

export function pauseSound() {
  current?.pause();
}

export function nextSpeed() {
  speed.value = SPEEDS[(SPEEDS.indexOf(speed.peek()) + 1) % SPEEDS.length];
}

/**
 * @param {MediaSession} session
 * @param {Record<string, MediaSessionActionHandler | null>} handlers
 */
function handle(session, handlers) {
  for (const [action, handler] of Object.entries(handlers)) {
    try {
      session.setActionHandler(/** @type {MediaSessionAction} */ (action), handler);
    } catch {
      // This browser does not know the action.
    }
  }
}
