// Sentences, times, durations, amounts and names as a person reads them.

const DAY_MS = 86_400_000;

const root = globalThis.document?.documentElement;
/** The language of the page. */
export const pageLanguage = root?.lang || "en";
// Of the regions the language is spoken in, that of the device: en-GB writes dates unlike en-US.
const here = globalThis.navigator?.languages?.find((tag) => tag.split("-")[0] === pageLanguage.split("-")[0]) ?? pageLanguage;

// What the person has set; undefined is what the device says.
let language = here;
/** @type {string | undefined} */
let timeZone;
// Not for long: a device that is taken to another zone tells no one.
const FORMATTERS_LIVE_MS = 60_000;
/** @type {Map<string, any>} by what it is of */
const formatters = new Map();
let formattersSinceMs = 0;

/** @param {{language?: string | null, timeZone?: string | null}} chosen */
export function setLocale(chosen) {
  formatters.clear();
  language = chosen.language || here;
  timeZone = chosen.timeZone || undefined;
}

// Sentences in the language of the page. English is in the scripts; the page names the file of any
// other, which has the same shape. What it lacks, or if it cannot be had, is said in English.
const PLACE = /\{(\w+)\}/g;
const translated = root?.dataset.texts ? await fetch(root.dataset.texts).then((answer) => answer.json()).catch(() => ({})) : {};

/**
 * What `spoken` makes of texts of type T: a sentence with {places} becomes a function of what fills them.
 * @template T
 * @typedef {T extends string
 *   ? T extends `${string}{${string}}${string}` ? (...values: (string | number)[]) => string : string
 *   : T extends { other: string } ? (count: number, ...values: (string | number)[]) => string
 *   : { [K in keyof T]: Spoken<T[K]> }} Spoken
 */

/**
 * The texts of one of our text.js (`name`: "chat", "settings"): sentences, and functions where there
 *  are {places} to fill. Forms of a plural are chosen by `count`, the first of what is given.
 * @template const T
 * @param {string} name
 * @param {T} english
 * @returns {Spoken<T>}
 */
export function spoken(name, english) {
  return speak(english, translated[name]);
}

/**
 * Why an answer ended: the log keeps a code and the English for it.
 * @param {{code: string, text: string}} error
 */
export function endReason({ code, text }) {
  return translated.errors?.[code] || text;
}

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 * @returns {string}
 */
export function number(value, options) {
  return formatter(Intl.NumberFormat, language, options).format(value);
}

/**
 * A formatter is slow to make: there is one for each use of it.
 * @template F
 * @template O
 * @param {new (locale: string, options?: O) => F} Kind
 * @param {string} locale
 * @param {O} [options]
 * @returns {F}
 */
function formatter(Kind, locale, options) {
  const nowMs = Date.now();
  if (Math.abs(nowMs - formattersSinceMs) > FORMATTERS_LIVE_MS) {
    formatters.clear();
    formattersSinceMs = nowMs;
  }
  const key = `${Kind.name} ${locale} ${JSON.stringify(options)}`;
  let known = formatters.get(key);
  if (!known) formatters.set(key, (known = new Kind(locale, options)));
  return known;
}

/**
 * @param {any} english
 * @param {any} own
 * @returns {any}
 */
function speak(english, own) {
  if (typeof english === "string") return sentence(english, own || english);
  if (Array.isArray(english)) return english.map((part, index) => speak(part, own?.[index]));
  if ("other" in english) return counted(english, own);
  return Object.fromEntries(Object.entries(english).map(([key, part]) => [key, speak(part, own?.[key])]));
}

/**
 * @param {string} english
 * @param {string} chosen
 */
function sentence(english, chosen) {
  const names = placesOf(english);
  return names.length === 0 ? chosen : (/** @type {(string | number)[]} */ ...values) => filled(chosen, names, values);
}

/**
 * @param {Record<string, string>} english
 * @param {Record<string, string> | undefined} own
 */
function counted(english, own) {
  const [forms, spokenIn] = own?.other ? [own, pageLanguage] : [english, "en"];
  const rules = formatter(Intl.PluralRules, spokenIn);
  const names = [...new Set(["count", ...placesOf(english.other)])];
  return (/** @type {[number, ...(string | number)[]]} */ ...values) => filled(forms[rules.select(values[0])] ?? forms.other, names, values);
}

/** @param {string} template */
function placesOf(template) {
  return [...new Set(Array.from(template.matchAll(PLACE), ([, name]) => name))];
}

/**
 * @param {string} template
 * @param {string[]} names
 * @param {(string | number)[]} values
 */
function filled(template, names, values) {
  return template.replace(PLACE, (place, name) => {
    const value = values[names.indexOf(name)];
    return typeof value === "number" ? number(value) : value ?? "";
  });
}

/** @param {Intl.DateTimeFormatOptions} options */
const dates = (options, locale = language) => formatter(Intl.DateTimeFormat, locale, { timeZone, ...options });

/**
 * Which day it is there, as a number that grows by one a day.
 * @param {number} ms
 */
function dayNumber(ms) {
  const parts = dates({ year: "numeric", month: "numeric", day: "numeric" }, "en-u-ca-gregory-nu-latn").formatToParts(ms);
  const { year, month, day } = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(year, month - 1, day) / DAY_MS;
}

/**
 * Under which heading of the sidebar a chat falls; older ones by month ("March 2026").
 * @param {number} updatedMs
 * @param {number} nowMs
 * @param {{today: string, yesterday: string, week: string, month: string}} groups
 */
export function recencyGroup(updatedMs, nowMs, groups) {
  const daysAgo = dayNumber(nowMs) - dayNumber(updatedMs);
  if (daysAgo <= 0) return groups.today;
  if (daysAgo <= 1) return groups.yesterday;
  if (daysAgo <= 7) return groups.week;
  if (daysAgo <= 30) return groups.month;
  return dates({ month: "long", year: "numeric" }).format(updatedMs);
}

/** @param {number} ms */
export function clockTime(ms) {
  return dates({ hour: "2-digit", minute: "2-digit" }).format(ms);
}

/**
 * The time of a day, or the day of a year: as short as it can be told.
 * @param {number} ms
 */
export function shortTime(ms, nowMs = Date.now()) {
  if (dayNumber(ms) === dayNumber(nowMs)) return clockTime(ms);
  /** @param {number} time */
  const yearOf = (time) => new Date(dayNumber(time) * DAY_MS).getUTCFullYear();
  /** @type {Intl.DateTimeFormatOptions} */
  const day = { day: "numeric", month: "short", ...(yearOf(ms) !== yearOf(nowMs) && { year: "numeric" }) };
  return dates(day).format(ms);
}

/** @param {number | Date} ms */
export function longDate(ms) {
  return dates({ dateStyle: "long" }).format(ms);
}

/** @param {number} ms */
export function fullTime(ms) {
  return dates({ dateStyle: "medium", timeStyle: "medium" }).format(ms);
}

/**
 * `isWhole`: no tenths, for a count that runs.
 * @param {number} ms
 */
export function duration(ms, { isWhole = false } = {}) {
  if (ms < 10_000 && !isWhole) return `${number(ms / 1000, { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`;
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/**
 * "endpoint/vendor/name" -> "name": for a model that is not in the catalogue any more.
 * @param {string} id
 */
export function shortModelName(id) {
  return id.slice(id.lastIndexOf("/") + 1);
}

/**
 * What stands where a person's picture would. The same as in accounts/people.py.
 * @param {{name?: string | null, email?: string | null}} person
 */
export function initials({ name, email }) {
  const words = (name ?? "").split(/\s+/).filter(Boolean);
  if (words.length === 0) words.push(email ?? "");
  const letters = [words[0], words.length > 1 ? words[words.length - 1] : ""].map((word) => [...word][0] ?? "");
  return letters.join("").toUpperCase();
}
