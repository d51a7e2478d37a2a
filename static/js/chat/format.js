// Times, durations, amounts and names as a person reads them.

const DAY_MS = 86_400_000;

// What the person has set; undefined is what the device says.
let language;
let timeZone;

export function setLocale(chosen) {
  language = chosen.language || undefined;
  timeZone = chosen.timeZone || undefined;
}

/** Which day it is there, as a number that grows by one a day. */
function dayNumber(ms) {
  const parts = new Intl.DateTimeFormat("en-u-ca-gregory-nu-latn", { timeZone, year: "numeric", month: "numeric", day: "numeric" }).formatToParts(ms);
  const { year, month, day } = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(year, month - 1, day) / DAY_MS;
}

/** Under which heading of the sidebar a chat falls; older ones by month ("March 2026"). */
export function recencyGroup(updatedMs, nowMs, groups) {
  const daysAgo = dayNumber(nowMs) - dayNumber(updatedMs);
  if (daysAgo <= 0) return groups.today;
  if (daysAgo <= 1) return groups.yesterday;
  if (daysAgo <= 7) return groups.week;
  if (daysAgo <= 30) return groups.month;
  return new Intl.DateTimeFormat(language, { timeZone, month: "long", year: "numeric" }).format(updatedMs);
}

export function clockTime(ms) {
  return new Intl.DateTimeFormat(language, { timeZone, hour: "2-digit", minute: "2-digit" }).format(ms);
}

/** The time of a day, or the day of a year: as short as it can be told. */
export function shortTime(ms, nowMs = Date.now()) {
  if (dayNumber(ms) === dayNumber(nowMs)) return clockTime(ms);
  const yearOf = (time) => new Date(dayNumber(time) * DAY_MS).getUTCFullYear();
  const day = { day: "numeric", month: "short", ...(yearOf(ms) !== yearOf(nowMs) && { year: "numeric" }) };
  return new Intl.DateTimeFormat(language, { timeZone, ...day }).format(ms);
}

export function fullTime(ms) {
  return new Intl.DateTimeFormat(language, { timeZone, dateStyle: "medium", timeStyle: "medium" }).format(ms);
}

/** `isWhole`: no tenths, for a count that runs. */
export function duration(ms, { isWhole = false } = {}) {
  if (ms < 10_000 && !isWhole) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** "endpoint/vendor/name" -> "name": for a model that is not in the catalogue any more. */
export function shortModelName(id) {
  return id.split("/").at(-1);
}

/** What stands where a person's picture would. The same as in accounts/people.py. */
export function initials({ name, email }) {
  const words = (name ?? "").split(/\s+/).filter(Boolean);
  if (words.length === 0) words.push(email ?? "");
  const letters = [words[0], words.length > 1 ? words.at(-1) : ""].map((word) => [...word][0] ?? "");
  return letters.join("").toUpperCase();
}
