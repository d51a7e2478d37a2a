// Keeps the end of a growing transcript in view, only while the reader is there. Whatever the reader
// does to look elsewhere (wheel, finger, keys, scroll bar, selecting text) lets go at once; coming
// back to the end, or asking to, holds on again.
import { signal } from "../../signals.js";

const NEAR_END_PX = 40;
const KEYS_UP = new Set(["ArrowUp", "PageUp", "Home"]);

export class ScrollKeeper {
  /** Whether the reader is at the end. */
  isAtEnd = signal(true);

  #scroller;
  #observer;
  #lastTop = 0;
  #isTouched = false;
  #listening = new AbortController();

  // Lifecycle

  constructor(scroller, content) {
    this.#scroller = scroller;
    this.#observer = new ResizeObserver(() => this.#resized());
    this.#observer.observe(content);
    this.#observer.observe(scroller);
    this.#listen("scroll", this.#scrolled);
    this.#listen("wheel", ({ deltaY }) => deltaY < 0 && this.#canScrollUp() && this.#letGo());
    this.#listen("touchstart", () => (this.#isTouched = true));
    for (const name of ["touchend", "touchcancel"]) this.#listen(name, this.#released);
    this.#listen("keydown", (event) => this.#isKeyUp(event) && this.#canScrollUp() && this.#letGo());
  }

  dispose() {
    this.#observer.disconnect();
    this.#listening.abort();
  }

  // Actions

  toEnd({ smooth = false } = {}) {
    this.isAtEnd.value = true;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#scroller.scrollTo({ top: this.#scroller.scrollHeight, behavior: smooth && !isCalm ? "smooth" : "instant" });
    this.#lastTop = this.#scroller.scrollTop;
  }

  /**
   * Where the reader is, or null at the end: the first message in view, how far below the top it
   * begins, in pixels, and, for another width of the page, which part of it is above.
   */
  place() {
    if (this.isAtEnd.peek()) return null;
    const { top } = this.#scroller.getBoundingClientRect();
    // By groups first: in one that is out of sight nothing is laid out, and nothing has a place.
    const groups = [...this.#scroller.querySelectorAll(".group")];
    const group = groups.find((one) => one.getBoundingClientRect().bottom > top);
    for (const message of group?.querySelectorAll(".message[id]") ?? []) {
      const box = message.getBoundingClientRect();
      if (box.bottom <= top) continue;
      const { clientWidth: width } = this.#scroller;
      return { id: message.id, below: box.top - top, part: (top - box.top) / box.height, width };
    }
    return null;
  }

  /** Go to where the reader was, though all that is shown was drawn anew. */
  goTo(place) {
    const message = place && document.getElementById(place.id);
    if (!message) return;
    // One that is not laid out has no place yet, only that of a guess.
    if (message.checkVisibility?.({ contentVisibilityAuto: true }) === false) message.scrollIntoView({ behavior: "instant" });
    const { top, height } = message.getBoundingClientRect();
    const below = top - this.#scroller.getBoundingClientRect().top;
    this.#scroller.scrollTop += below - (place.below >= 0 || place.width === this.#scroller.clientWidth ? place.below : -place.part * height);
  }

  /** Something further up is shown now: stay there. */
  letGo() {
    this.isAtEnd.value = false;
  }

  // Private

  #listen(name, handle) {
    this.#scroller.addEventListener(name, handle, { passive: true, signal: this.#listening.signal });
  }

  #resized() {
    // How much there is to see, for the room that a new question gets.
    this.#scroller.style.setProperty("--view", `${this.#scroller.clientHeight}px`);
    if (!this.isAtEnd.peek() || this.#isTouched) return;
    if (this.#isSelecting()) this.#letGo();
    else this.toEnd();
  }

  #letGo() {
    this.isAtEnd.value = false;
  }

  #released = () => {
    this.#isTouched = false;
    this.#scrolled();
  };

  #scrolled = () => {
    const { scrollTop } = this.#scroller;
    // Content that grows also moves the end away: only moving up is the reader's doing.
    if (scrollTop < this.#lastTop && !this.#isNearEnd()) this.#letGo();
    else if (scrollTop >= this.#lastTop && this.#isNearEnd() && !this.#isSelecting()) this.isAtEnd.value = true;
    this.#lastTop = scrollTop;
  };

  #isNearEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
  }

  #canScrollUp() {
    return this.#scroller.scrollTop > 0;
  }

  #isKeyUp({ key, shiftKey, target }) {
    if (target.closest?.("input, textarea, select, [contenteditable], [role=menu], [role=listbox]")) return false;
    return KEYS_UP.has(key) || (key === " " && shiftKey);
  }

  #isSelecting() {
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && this.#scroller.contains(selection.anchorNode));
  }
}
