// Saves each field when it changes, one after another. A value that could not be saved stays in its
// field, with the reason beside it.
import { applyAppearance } from "../chat/preferences.js";
import { clockTime, setLocale } from "../chat/lib/format.js";
import { api, ApiError, repeatUntilAnswered } from "../chat/api.js";
import { text } from "./text.js";

const WRITTEN_MS = 800;
const SAID_MS = 4_000;
const TRIES = 5;

export class FieldsSaver {
  #page;
  #settings;
  owner; // the id of the user whose settings these are
  #said;
  #saidTimer = null;
  #timers = new Map(); // name -> timer of a text field in use
  #unsaved = new Set(); // names of fields that differ from the server's values
  #queue = Promise.resolve();

  constructor(page, settings) {
    this.#page = page;
    this.#settings = settings;
    this.owner = page.querySelector("[data-owner]").dataset.owner;
    this.#said = page.querySelector("[data-saved]");
    for (const form of page.querySelectorAll("[data-autosave]")) {
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("change", (event) => this.#changed(event.target));
      form.addEventListener("input", (event) => this.#written(event.target));
    }
    page.defaultView.addEventListener("pagehide", () => this.#saveRestNow());
    this.#showClock();
    setInterval(() => this.#showClock(), 10_000);
  }

  /** Show the server's settings, except in fields that are being changed here. */
  take(settings) {
    this.#settings = settings;
    for (const name of Object.keys(settings)) {
      if (!this.#unsaved.has(name)) this.#put(name, settings[name]);
    }
    applyAppearance(this.#unsaved.has("appearance") ? this.#value("appearance") : settings.appearance);
    this.#showClock();
  }

  say(sentence, { isProblem = false } = {}) {
    clearTimeout(this.#saidTimer);
    this.#said.textContent = sentence;
    this.#said.classList.toggle("meta-warning", isProblem);
    if (!isProblem) this.#saidTimer = setTimeout(() => (this.#said.textContent = ""), SAID_MS);
  }

  // Private

  #changed(control) {
    if (!control.name) return;
    if (control.name === "appearance") applyAppearance(control.value);
    this.#unsaved.add(control.name);
    this.#saveSoon(control.name, 0);
  }

  #written(control) {
    if (!control.name || !isWritten(control)) return;
    this.#unsaved.add(control.name);
    this.#saveSoon(control.name, WRITTEN_MS);
  }

  #saveSoon(name, delayMs) {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(
      name,
      setTimeout(() => {
        this.#timers.delete(name);
        this.#queue = this.#queue.then(() => this.#save(name));
      }, delayMs),
    );
  }

  async #save(name) {
    const value = this.#value(name);
    if (value === this.#settings[name]) {
      this.#unsaved.delete(name);
      this.#refused(name, "");
      return;
    }
    this.say(text.saving);
    try {
      const order = () => api.saveSettings(this.owner, { [name]: value });
      const { settings } = await repeatUntilAnswered(order, { tries: TRIES });
      if (this.#value(name) === value) this.#unsaved.delete(name);
      this.#refused(name, "");
      this.#settings = settings;
      this.#showClock();
      this.say(text.saved);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#refused(name, error.fields?.[name] ?? error.message);
      this.say(text.notSaved, { isProblem: true });
    }
  }

  /** Save recent changes when the page is left. */
  #saveRestNow() {
    for (const [name, timer] of this.#timers) {
      clearTimeout(timer);
      api.saveSettings(this.owner, { [name]: this.#value(name) }, { keepalive: true }).catch(() => {});
    }
    this.#timers.clear();
  }

  #refused(name, sentence) {
    const said = this.#page.getElementById(`${name}-error`);
    if (said) said.textContent = sentence;
    for (const control of this.#controls(name)) {
      if (sentence) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    }
  }

  #controls(name) {
    return [...this.#page.querySelectorAll(`[data-autosave] [name="${name}"]`)];
  }

  #value(name) {
    const controls = this.#controls(name);
    const [first] = controls;
    if (first.type === "radio") return controls.find((control) => control.checked)?.value;
    if (first.type === "checkbox") return first.checked;
    return isWritten(first) ? first.value.trim() : first.value;
  }

  #put(name, value) {
    for (const control of this.#controls(name)) {
      if (control.type === "radio") control.checked = control.value === value;
      else if (control.type === "checkbox") control.checked = value;
      else if (control.type === "select-one") pick(control, value);
      else if (control.value !== value && !(isWritten(control) && control.value.trim() === value)) control.value = value;
    }
  }

  /** Show the time in the chosen zone, which is the quickest way to check the choice. */
  #showClock() {
    const clock = this.#page.querySelector("[data-clock]");
    const zone = this.#settings.time_zone || undefined;
    setLocale({ language: this.#settings.language, timeZone: zone });
    clock.textContent = clockTime(Date.now());
  }
}

/** Selects `value`, and adds it if the page was rendered without this option. */
function pick(control, value) {
  if (![...control.options].some((option) => option.value === value)) control.append(new Option(value, value));
  control.value = value;
}

const isWritten = (control) => control.type === "text" || control.type === "textarea";
