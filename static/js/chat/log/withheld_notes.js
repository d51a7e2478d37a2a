// Notes below an answer about files that the model did not get.
import { spoken } from "../lib/format.js";

const own = spoken("withheld", {
  modality: {
    one: "{count} picture was not shown to the model, which can’t see pictures. It knows only the name.",
    other: "{count} pictures were not shown to the model, which can’t see pictures. It knows only the names.",
  },
  window: {
    one: "{count} file was left out: the model’s context is full.",
    other: "{count} files were left out: the model’s context is full.",
  },
  missing: {
    one: "{count} file was left out: it could not be read.",
    other: "{count} files were left out: they could not be read.",
  },
});

const REASONS = /** @type {const} */ (["modality", "window", "missing"]);

/**
 * One sentence for each reason; [] for most answers.
 * @param {import("./fold.js").Message} message
 */
export function withheldNotes({ withheld }) {
  const counts = REASONS.map((why) => ({ why, count: new Set(withheld?.filter((one) => one.why === why).map(({ file }) => file)).size }));
  return counts.filter(({ count }) => count > 0).map(({ why, count }) => own[why](count));
}
