// Times, durations and amounts as a person reads them.

const DAY_MS = 86_400_000;

/** Under which heading of the sidebar a chat falls; older ones by month ("March 2026"). */
export function recencyGroup(updatedMs, nowMs, groups) {
  const midnight = new Date(nowMs).setHours(0, 0, 0, 0);
  if (updatedMs >= midnight) return groups.today;
  if (updatedMs >= midnight - DAY_MS) return groups.yesterday;
  if (updatedMs >= midnight - 7 * DAY_MS) return groups.week;
  if (updatedMs >= midnight - 30 * DAY_MS) return groups.month;
  return new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric" }).format(updatedMs);
}

export function clockTime(ms) {
  return new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }).format(ms);
}

export function fullTime(ms) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" }).format(ms);
}

export function duration(ms) {
  if (ms < 1000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** Micro-USD as dollars, with as many digits as small amounts need. */
export function dollars(microUsd) {
  const amount = microUsd / 1_000_000;
  return `$${amount.toFixed(amount >= 1 ? 2 : amount >= 0.01 ? 3 : 5)}`;
}

/** "endpoint/vendor/name" -> "name": for a model that is not in the catalogue any more. */
export function shortModelName(id) {
  return id.split("/").at(-1);
}
