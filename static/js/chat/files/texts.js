// The sentences about files. They are not in text.js, because they are loaded only when they are needed.
import { number, spoken } from "../lib/format.js";

export const own = spoken("files", {
  list: "Attached files",
  drop: "Drop the files to attach them",
  tooMany: "A message can have {count} files at most. The others were not attached.",
  tooMuch: "The files of a message can have {megabytes} MB at most together. Not all of them were attached.",
  noRoom: "This browser has no room to keep the files. Leave this page open until they are sent.",
  unreadable: "This can’t be read. Folders can’t be attached, only the files in them.",
  gone: "This file is no longer in this browser. Attach it again.",
  empty: "This file is empty.",
  tooLarge: {
    image: "Pictures can have {megabytes} MB at most.",
    audio: "Sound can have {megabytes} MB at most.",
    document: "Documents can have {megabytes} MB at most.",
    text: "Texts can have {megabytes} MB at most.",
    any: "Files can have {megabytes} MB at most.",
  },
  uploading: "{percent} uploaded",
  checking: "Checking…",
  added: "Attached: {names}",
  ready: "The files are ready to be sent.",
  notAttached: "{name} is not attached. {reason}",
  removed: "Removed: {name}",
  describe: "Describe {name}",
  description: "What does the picture show?",
  descriptionHelp: "For people who can’t see it, and for models that don’t get it.",
  alt: "ALT",
  remove: "Remove {name}",
  retry: "Try again with {name}",
  tryAgain: "Try again",
  solveFirst: "Remove the file that can’t be sent, or try again with it.",
  blindTo: {
    image: { some: "{model} can’t see pictures.", none: "{model} can’t see pictures, and there is no model here that does." },
    audio: { some: "{model} can’t hear.", none: "{model} can’t hear, and there is no model here that does." },
  },
  transcriptInstead: "{model} can’t hear. It gets the transcript.",
  useInstead: "Use {model}",
  sending: "Sending the files: {percent}",
  open: "Look at {name}",
  download: "Download {name}",
  downloadOriginal: "Download the original",
  erased: "Deleted",
  change: "Change this picture",
  making: "Making a picture…",
  noRoomForPicture: "Not kept: your storage for files is full. Delete files in the settings.",
  pictureNotKept: "Not kept: it could not be read or stored.",
  pages: { one: "{count} page", other: "{count} pages" },
  lightbox: "Pictures of the message",
  position: "{index} of {count}",
  previous: "Previous picture",
  next: "Next picture",
  fullSize: "Show in full size",
  fit: "Fit to the window",
  close: "Close",
  notThere: "This picture can’t be loaded now.",
});

const UNITS = /** @type {const} */ (["byte", "kilobyte", "megabyte"]);

/**
 * “340 kB”, “2.4 MB”
 * @param {number} bytes
 */
export function size(bytes) {
  const step = bytes < 1_000 ? 0 : bytes < 999_500 ? 1 : 2;
  const amount = bytes / 1_000 ** step;
  return number(amount, { style: "unit", unit: UNITS[step], unitDisplay: step === 0 ? "long" : "short", maximumFractionDigits: step === 2 && amount < 100 ? 1 : 0 });
}

/** @param {number} part up to 1 */
export const percent = (part) => number(part, { style: "percent", maximumFractionDigits: 0 });
