// The sentences about answers that are read aloud. They are loaded only when one is.
import { spoken } from "../lib/format.js";

export const own = spoken("speaking", {
  player: "Answer read aloud",
  preparing: "Preparing…",
  play: "Play",
  pause: "Pause",
  position: "Position",
  at: "{time} of {length}",
  speed: "Speed: {speed}",
  notPlayed: "This sound can’t be played. Try again.",
  unanswered: "The server can’t be reached. Try again in a moment.",
});

/**
 * A time as players show it: 1:05.
 * @param {number} ms
 */
export function clock(ms) {
  const seconds = Math.floor(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
