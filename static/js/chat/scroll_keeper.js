// Keeps the end of a growing transcript in view, only while the reader is there. Scrolling up lets
// go; coming back to the end, or asking to, holds on again.
import { signal } from "../signals.js";

const NEAR_END_PX = 40;

export class ScrollKeeper {
  /** Whether the reader is at the end. */
  isAtEnd = signal(true);

  #scroller;
  #observer;
  #lastTop = 0;

  // Lifecycle

  constructor(scroller, content) {
    this.#scroller = scroller;
    this.#observer = new ResizeObserver(() => this.#follow());
    this.#observer.observe(content);
    this.#observer.observe(scroller);
    scroller.addEventListener("scroll", this.#scrolled, { passive: true });
  }

  dispose() {
    this.#observer.disconnect();
    this.#scroller.removeEventListener("scroll", this.#scrolled);
  }

  // Actions

  toEnd({ smooth = false } = {}) {
    this.isAtEnd.value = true;
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#scroller.scrollTo({ top: this.#scroller.scrollHeight, behavior: smooth && !isCalm ? "smooth" : "instant" });
  }

  // Private

  #follow() {
    if (this.isAtEnd.peek()) this.toEnd();
  }

  #scrolled = () => {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const isNear = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    // Content that grows also moves the end away: only moving up is the reader's doing.
    if (isNear) this.isAtEnd.value = true;
    else if (scrollTop < this.#lastTop) this.isAtEnd.value = false;
    this.#lastTop = scrollTop;
  };
}
