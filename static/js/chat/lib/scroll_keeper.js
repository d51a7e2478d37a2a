// Keeps the end of a growing transcript in view while the reader is there. Scrolling away (by wheel, touch,
// keys or scroll bar) or selecting text stops this at once; returning to the end, by scrolling or by the
// button, resumes it. A text that shrinks for a moment, as when its end is drawn again, does not stop it,
// although the browser then moves the view up.
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
  #isOnScrollBar = false;
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
    this.#listen("pointerdown", ({ target }) => (this.#isOnScrollBar = target === scroller));
    // The end of a drag of the scroll bar is not always told, but the pointer then moves without a button.
    this.#listen("pointermove", ({ buttons }) => (this.#isOnScrollBar &&= buttons > 0));
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

  /** Show the start, and do not follow the end. */
  toStart() {
    this.letGo();
    this.#scroller.scrollTop = 0;
    this.#lastTop = 0;
  }

  /**
   * The reading position, or null at the end: the first message in view, its distance below the top in
   * pixels, and the share of it above the top, which counts if the width of the page changes.
   */
  place() {
    if (this.isAtEnd.peek()) return null;
    const { top } = this.#scroller.getBoundingClientRect();
    // Find the group first, because messages in a group outside the viewport are not laid out and have no position.
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

  /** Scroll to a reading position, also after everything has been drawn again. */
  goTo(place) {
    const message = place && document.getElementById(place.id);
    if (!message) return;
    // The position of a message that is not laid out yet is only an estimate.
    if (message.checkVisibility?.({ contentVisibilityAuto: true }) === false) message.scrollIntoView({ behavior: "instant" });
    const { top, height } = message.getBoundingClientRect();
    const below = top - this.#scroller.getBoundingClientRect().top;
    this.#scroller.scrollTop += below - (place.below >= 0 || place.width === this.#scroller.clientWidth ? place.below : -place.part * height);
  }

  /** Stop following the end, because something further up is shown now. */
  letGo() {
    this.isAtEnd.value = false;
  }

  // Private

  #listen(name, handle) {
    this.#scroller.addEventListener(name, handle, { passive: true, signal: this.#listening.signal });
  }

  #resized() {
    // The CSS reserves room for an answer by the height of the view.
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
    const up = this.#lastTop - scrollTop;
    // Growing content also moves the end away, so only an upward move comes from the reader; a short one may
    // come from content that shrank, unless the scroll bar is held.
    const isShort = up > 0 && up < NEAR_END_PX && !this.#isOnScrollBar;
    if (up > 0 && !isShort && !this.#isNearEnd()) this.#letGo();
    else if (up <= 0 && this.#isNearEnd() && !this.#isSelecting()) this.isAtEnd.value = true;
    // Short moves add up.
    if (!isShort || !this.isAtEnd.peek()) this.#lastTop = scrollTop;
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
