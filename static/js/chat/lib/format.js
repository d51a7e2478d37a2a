// Formats sentences, times, durations, amounts and names for people.

const DAY_MS = 86_400_000;

const root = globalThis.document?.documentElement;
/** The language of the page. */
export const pageLanguage = root?.lang || "en";
// The page's language with the region of the device: en-GB and en-US write dates differently.
const here = globalThis.navigator?.languages?.find((tag) => tag.split("-")[0] === pageLanguage.split("-")[0]) ?? pageLanguage;

// The person's settings; without a time zone, that of the device counts.
let language = here;
/** @type {string | undefined} */
let timeZone;
// Formatters are not cached for long, because no event reports that the device's time zone has changed.
const FORMATTERS_LIVE_MS = 60_000;
/** @type {Map<string, any>} by kind, locale and options */
const formatters = new Map();
let formattersSinceMs = 0;

/** @param {{language?: string | null, timeZone?: string | null}} chosen */
export function setLocale(chosen) {
  formatters.clear();
  language = chosen.language || here;
  timeZone = chosen.timeZone || undefined;
}

// Sentences in the language of the page. The scripts contain the English ones; the page names the file of
// any other language, which has the same shape. Missing sentences, or a missing file, fall back to English.
const PLACE = /\{(\w+)\}/g;
const translated = root?.dataset.texts ? await fetch(root.dataset.texts).then((answer) => answer.json()).catch(() => ({})) : {};

/**
 * The result of `spoken` for texts of type T: a sentence with {placeholders} becomes a function of their values.
 * @template T
 * @typedef {T extends string
 *   ? T extends `${string}{${string}}${string}` ? (...values: (string | number)[]) => string : string
 *   : T extends { other: string } ? (count: number, ...values: (string | number)[]) => string
 *   : { [K in keyof T]: Spoken<T[K]> }} Spoken
 */

/**
 * The translated texts of one text.js (`name`: "chat", "settings"): sentences, and functions for sentences
 * with {placeholders}. `count`, the first argument, selects the plural form.
 * @template const T
 * @param {string} name
 * @param {T} english
 * @returns {Spoken<T>}
 */
export function spoken(name, english) {
  return speak(english, translated[name]);
}

/**
 * Why an answer ended: the log stores a code and the English sentence.
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
 * A cached formatter, because creating one is slow.
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
 * The day in the person's time zone, as a number that grows by one a day.
 * @param {number} ms
 */
function dayNumber(ms) {
  const parts = dates({ year: "numeric", month: "numeric", day: "numeric" }, "en-u-ca-gregory-nu-latn").formatToParts(ms);
  const { year, month, day } = Object.fromEntries(parts.map(({ type, value }) => [type, Number(value)]));
  return Date.UTC(year, month - 1, day) / DAY_MS;
}

/**
 * The heading of the sidebar for a chat; older chats are grouped by month ("March 2026").
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
 * A short form: the time if `ms` is today, else the day, with the year unless it is this year.
 * @param {number} ms
 */
export function shortTime(ms, nowMs = Date.now()) {
  if (isSameDay(ms, nowMs)) return clockTime(ms);
  /** @type {Intl.DateTimeFormatOptions} */
  const day = { day: "numeric", month: "short", ...(!isSameYear(ms, nowMs) && { year: "numeric" }) };
  return dates(day).format(ms);
}

/**
 * Whether two times are on one day in the person's time zone.
 * @param {number} ms
 * @param {number} otherMs
 */
export function isSameDay(ms, otherMs) {
  return dayNumber(ms) === dayNumber(otherMs);
}

/**
 * The name of a day between messages: "Today", "Yesterday", "12 March", with the year unless it is this year.
 * @param {number} ms
 * @param {number} nowMs
 * @param {{today: string, yesterday: string}} names
 */
export function dayName(ms, nowMs, names) {
  const daysAgo = dayNumber(nowMs) - dayNumber(ms);
  if (daysAgo <= 0) return names.today;
  if (daysAgo === 1) return names.yesterday;
  return dates({ day: "numeric", month: "long", ...(!isSameYear(ms, nowMs) && { year: "numeric" }) }).format(ms);
}

/**
 * @param {number} ms
 * @param {number} otherMs
 */
function isSameYear(ms, otherMs) {
  /** @param {number} time */
  const yearOf = (time) => new Date(dayNumber(time) * DAY_MS).getUTCFullYear();
  return yearOf(ms) === yearOf(otherMs);
}

/**
 * The value of `datetime` for a <time>.
 * @param {number} ms
 */
export function isoTime(ms) {
  return new Date(ms).toISOString();
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
 * `isWhole`: without tenths, for a running count.
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

const TURNS_OR_BREAKS = /[\p{Bidi_Control}\p{Cc}\u2028\u2029]+/gu;
const LONGEST_NAME_CHARS = 80;

/**
 * A name for use within a sentence: one line, and without characters that turn the rest of the sentence around.
 * @param {string} name
 */
export function inSentence(name) {
  const shown = [...name.replace(TURNS_OR_BREAKS, " ").replace(/\s+/g, " ").trim()];
  return shown.length > LONGEST_NAME_CHARS ? `${shown.slice(0, LONGEST_NAME_CHARS).join("")}…` : shown.join("");
}

/**
 * The initials that replace a missing picture, the same as in accounts/people.py.
 * @param {{name?: string | null, email?: string | null}} person
 */
export function initials({ name, email }) {
  const words = (name ?? "").split(/\s+/).filter(Boolean);
  if (words.length === 0) words.push(email ?? "");
  const letters = [words[0], words.length > 1 ? words[words.length - 1] : ""].map((word) => [...word][0] ?? "");
  return letters.join("").toUpperCase();
}
