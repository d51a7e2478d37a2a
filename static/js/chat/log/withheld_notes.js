// Notes below an answer about files that the model did not get.
import { spoken } from "../lib/format.js";

const own = spoken("withheld", {
  modality: {
    one: "{count} file was not shown to the model, which can’t see pictures. It knows only the name.",
    other: "{count} files were not shown to the model, which can’t see pictures. It knows only the names.",
  },
  deaf: {
    one: "{count} file was not played to the model, which can’t hear. It knows only the name.",
    other: "{count} files were not played to the model, which can’t hear. It knows only the names.",
  },
  window: {
    one: "{count} file did not fit, or not all of it: the model’s context is full.",
    other: "{count} files did not fit, or not all of them: the model’s context is full.",
  },
  missing: {
    one: "{count} file was left out: it was deleted.",
    other: "{count} files were left out: they were deleted.",
  },
});

const REASONS = /** @type {const} */ (["modality", "deaf", "window", "missing"]);

/** @typedef {import("./fold.js").Message} Message */

/**
 * One sentence for each reason; [] for most answers. What the answer before was not given either, for the same reason,
 * is not said again.
 * @param {Pick<Message, "withheld">} message
 * @param {Pick<Message, "withheld"> | null} [before] the answer before it
 * @param {(file: string) => boolean} [isSound]
 */
export function withheldNotes({ withheld }, before, isSound = () => false) {
  const said = new Set(before?.withheld?.map(({ file, why }) => `${why} ${file}`));
  const fresh = withheld?.filter(({ file, why }) => !said.has(`${why} ${file}`)) ?? [];
  /** @param {{file: string, why: "modality" | "window" | "missing"}} one */
  const reasonOf = ({ file, why }) => (why === "modality" && isSound(file) ? "deaf" : why);
  const counts = REASONS.map((why) => ({ why, count: new Set(fresh.filter((one) => reasonOf(one) === why).map(({ file }) => file)).size }));
  return counts.filter(({ count }) => count > 0).map(({ why, count }) => own[why](count));
}
