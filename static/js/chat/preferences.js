// The person's settings: from the page when it loads, then from the socket whenever they change, here or on
// another device. Views read the signal; the locale and the theme are applied here.
import { signal } from "../signals.js";
import { setLocale } from "./lib/format.js";

const BY_DEFAULT = {
  name: "",
  picture: null,
  appearance: "system",
  language: "",
  time_zone: "",
  send_key: "enter",
  default_model: "",
  instructions: "",
  background_calls: true,
  answer_notifications: true,
  pinned_models: [],
};

export const preferences = signal(BY_DEFAULT);

/** @typedef {import("./log/socket.js").Settings} Settings */

/** @param {Settings | null | undefined} settings as the server sends them; null for a visitor */
export function takePreferences(settings) {
  const now = { ...BY_DEFAULT, ...settings };
  setLocale({ language: now.language, timeZone: now.time_zone });
  applyAppearance(now.appearance);
  preferences.value = now;
}

/** @param {string} appearance "light", "dark", or "system" for the preference of the device */
export function applyAppearance(appearance) {
  const root = document.documentElement;
  const isForced = appearance === "light" || appearance === "dark";
  if (isForced) root.dataset.theme = appearance;
  else delete root.dataset.theme;
  const [light, dark] = /** @type {NodeListOf<HTMLMetaElement>} */ (document.querySelectorAll('meta[name="theme-color"]'));
  if (!dark) return;
  light.media = isForced ? (appearance === "light" ? "all" : "not all") : "(prefers-color-scheme: light)";
  dark.media = isForced ? (appearance === "dark" ? "all" : "not all") : "(prefers-color-scheme: dark)";
}

/**
 * Show another appearance before the server has confirmed it; returns a function that undoes this.
 * @param {string} appearance
 */
export function preferAppearance(appearance) {
  const before = preferences.peek();
  takePreferences({ ...before, appearance });
  return () => takePreferences(before);
}

/**
 * Show a model as pinned or not before the server has confirmed it; returns the new list and a function that undoes this.
 * @param {string} model
 */
export function togglePinned(model) {
  const before = preferences.peek();
  /** @type {string[]} */
  const rest = before.pinned_models.filter((/** @type {string} */ id) => id !== model);
  const pinned = rest.length < before.pinned_models.length ? rest : [...rest, model];
  takePreferences({ ...before, pinned_models: pinned });
  return { pinned, undo: () => takePreferences(before) };
}

/** Returns "light" or "dark", whichever is not shown now. */
export function otherAppearance() {
  const { appearance } = preferences.peek();
  const isDark = appearance === "system" ? matchMedia("(prefers-color-scheme: dark)").matches : appearance === "dark";
  return isDark ? "light" : "dark";
}

/** Tell the server which time zone this device is in, for the pages that it renders. */
export function noteTimeZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || document.cookie.includes(`hf_time_zone=${zone}`)) return;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `hf_time_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}
