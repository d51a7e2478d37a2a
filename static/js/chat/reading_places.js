// Where the reader was in each entry of this tab's history, so that Back, Forward and a reload lead
// there again: by a message and how it stood, which a wider page or a longer chat does not change.
// It is kept for the tab alone. A reader who was at the end has no place here and follows the end.
import { signal } from "../signals.js";
import { uuid7 } from "./lib/ids.js";

const KEY = "holdfast:places";
const MOST = 50;
const ROUNDING_PX = 1;

export class ReadingPlaces {
  /** The place to go to, until its chat is drawn: {chat, id, below, part, width}, or null. */
  wanted = signal(null);

  #history;
  #storage;
  #places;
  #read = () => null;

  /** @param storage () => the tab's storage, which may be forbidden */
  constructor({ history = globalThis.history, storage = () => globalThis.sessionStorage } = {}) {
    this.#history = history;
    this.#storage = storage;
    this.#places = this.#load();
  }

  // What the view says, and asks

  /** @param read () => {id, below, part, width}: what is read now, or null at the end */
  readBy(read) {
    this.#read = read;
  }

  isWanted(chat) {
    return this.wanted.peek()?.chat === chat;
  }

  arrived() {
    this.wanted.value = null;
  }

  // The history of the tab

  /** `chat` is shown now at this entry of the history, which may have been there before. */
  enter(chat) {
    const place = this.#places.get(this.#entry());
    this.wanted.value = place?.chat === chat && typeof place?.id === "string" ? place : null;
  }

  /** The reader leaves what this entry shows. Call it before the address changes. */
  leave(chat) {
    // A place that is not reached yet is where the reader still means to be.
    if (!this.wanted.peek()) this.#note(this.#entry(), chat && this.#read(), chat);
  }

  push(address) {
    this.wanted.value = null;
    this.#shown = uuid7();
    this.#history.pushState({ entry: this.#shown }, "", address);
  }

  replace(address) {
    this.#history.replaceState(this.#history.state, "", address);
  }

  /** The entry has changed already, as after Back: what is still drawn belongs to the one before. */
  traverse(from, to) {
    if (!this.wanted.peek()) this.#note(this.#shown, from && this.#read(), from);
    this.enter(to);
  }

  forget() {
    this.#places.clear();
    this.arrived();
    this.#save();
  }

  // Private

  #shown = null; // the entry that was named last

  /** The name of the entry that the tab is at; one is given to it if it has none. */
  #entry() {
    const { state } = this.#history;
    this.#shown = state?.entry ?? uuid7();
    if (!state?.entry) this.#history.replaceState({ ...state, entry: this.#shown }, "");
    return this.#shown;
  }

  #note(entry, place, chat) {
    const before = this.#places.get(entry);
    this.#places.delete(entry);
    if (place) this.#places.set(entry, before && isSame(before, place) ? before : { ...place, chat });
    for (const oldest of this.#places.keys()) {
      if (this.#places.size <= MOST) break;
      this.#places.delete(oldest);
    }
    this.#save();
  }

  #load() {
    try {
      return new Map(JSON.parse(this.#storage().getItem(KEY) ?? "[]"));
    } catch {
      return new Map();
    }
  }

  #save() {
    try {
      this.#storage().setItem(KEY, JSON.stringify([...this.#places]));
    } catch {
      // Forbidden or full: kept for as long as the page is there.
    }
  }
}

/** The browser scrolls by whole pixels: a reader who was brought back and did not move keeps the exact place,
    or they would drift by a fraction of a pixel with each return. */
function isSame(before, now) {
  return before.id === now.id && before.width === now.width && Math.abs(before.below - now.below) <= ROUNDING_PX;
}
