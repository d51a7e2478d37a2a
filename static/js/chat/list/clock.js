// The current day, so that lists are grouped again after midnight, also on a page that was asleep then.
import { signal } from "../../signals.js";

const SLACK_MS = 500;
/** @param {number} daysAhead */
const midnight = (daysAhead) => {
  const day = new Date();
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + daysAhead).getTime();
};

/** The midnight at which this day began, in ms. */
export const today = signal(midnight(0));

export function keepTime(page = document) {
  /** @type {number | undefined} */
  let timer;
  const look = () => {
    clearTimeout(timer);
    today.value = midnight(0);
    timer = setTimeout(look, midnight(1) - Date.now() + SLACK_MS);
  };
  page.addEventListener("visibilitychange", () => page.visibilityState === "visible" && look());
  look();
}
