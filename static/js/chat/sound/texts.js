// The sentences about sound. They are not in text.js, because they are loaded only when they are needed.
import { spoken } from "../lib/format.js";

export const own = spoken("sound", {
  recorder: "Recorder",
  noteName: "Voice note {time}.wav",
  starting: "Allow the microphone to begin.",
  elapsed: "Recorded",
  level: "How loud the recording was",
  pause: "Pause",
  resume: "Go on",
  cancel: "Discard the recording",
  attach: "Attach the recording",
  insert: "Insert as text",
  saidBegun: "Recording.",
  saidPaused: "Paused at {time}.",
  saidGoesOn: "Recording again.",
  saidInserted: "The text was inserted.",
  saidMinute: "One minute is left.",
  cancelled: "The recording was discarded.",
  noRoom: "This browser has no room to keep the recording. Leave this page open until it is attached.",
  notAttached: "The recording could not be attached. It is still here.",
  problems: {
    refused: "The microphone is not allowed here. Allow it in the browser’s settings for this site, then try again.",
    missing: "No microphone was found. Connect one, then try again.",
    busy: "The microphone can’t be used now: maybe another program uses it.",
    failed: "The recording can’t begin in this browser now.",
    lost: "The microphone is gone. Everything until then is kept.",
    full: "A recording can have 15 minutes at most. It is kept.",
  },
  tryAgain: "Try again",
  transcribing: "Turning it into text…",
  notText: "The recording could not be turned into text. {reason}",
  noWords: "No words were heard in it.",
  noMeans: "This site can’t do that now.",
  interrupted: "A recording of {time} was interrupted.",
  attachIt: "Attach",
  discard: "Discard",
  play: "Play {name}",
  stop: "Pause {name}",
  position: "Position in {name}",
  at: "{time} of {length}",
  speed: "Speed: {speed}",
  transcript: "Transcript",
  notPlayed: "This can’t be played now.",
});

/**
 * “0:42”
 * @param {number} ms
 */
export function clock(ms) {
  const seconds = Math.floor(ms / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}
