// Remembers the reading position for each entry of this tab's history, so that Back, Forward and a reload
// restore it. A position is a message and its offset, so it survives a wider page or a longer chat.
// Positions are stored for this tab only. A reader at the end has none, and keeps following the end.
import { signal } from "../signals.js";
import { uuid7 } from "./lib/ids.js";

const KEY = "holdfast:places";
// The chat to which other pages of the site lead back (way_back.js).
const LEFT = "holdfast:left";
const MOST = 50;
const ROUNDING_PX = 1;

export class ReadingPlaces {
  /** The position to restore once its chat is drawn: {chat, id, below, part, width}, or null. */
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

  // For the view

  /** @param read () => the current position, {id, below, part, width}, or null at the end */
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

  /** `chat` is shown now at the current history entry, which may have a stored position. */
  enter(chat) {
    const place = this.#places.get(this.#entry());
    this.wanted.value = place?.chat === chat && typeof place?.id === "string" ? place : null;
  }

  /** The reader leaves the current history entry. Call this before the address changes. */
  leave(chat) {
    // A position that is not restored yet is still the reader's position.
    if (!this.wanted.peek()) this.#note(this.#entry(), chat && this.#read(), chat);
  }

  /** The page is left at this address. */
  leaveTab(address) {
    try {
      this.#storage().setItem(LEFT, address);
    } catch {
      // The storage is forbidden or full: other pages lead back to a new chat.
    }
  }

  push(address) {
    this.wanted.value = null;
    this.#shown = uuid7();
    this.#history.pushState({ entry: this.#shown }, "", address);
  }

  replace(address) {
    this.#history.replaceState(this.#history.state, "", address);
  }

  /** The history entry has changed already, as after Back, but the page still shows the previous one. */
  traverse(from, to) {
    if (!this.wanted.peek()) this.#note(this.#shown, from && this.#read(), from);
    this.enter(to);
  }

  forget() {
    this.#places.clear();
    this.arrived();
    this.#save();
    this.leaveTab("/");
  }

  // Private

  #shown = null; // the id of the last known history entry

  /** The id of the current history entry, which gets one if it has none. */
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
      // The storage is forbidden or full: positions last as long as the page.
    }
  }
}

/** Whether both positions differ only by rounding. The browser scrolls by whole pixels, so storing the rounded
    position each time would let it drift with each return. */
function isSame(before, now) {
  return before.id === now.id && before.width === now.width && Math.abs(before.below - now.below) <= ROUNDING_PX;
}
