// The sentences about answers that are read aloud. They are loaded only when one is.
import { spoken } from "../lib/format.js";

export const own = spoken("speaking", {
  player: "Answer read aloud",
  preparing: "Preparing…",
  play: "Play",
  pause: "Pause",
  position: "Position",
  live: "Being spoken",
  notPlayed: "This sound can’t be played. Try again.",
  unanswered: "The server can’t be reached. Try again in a moment.",
});
