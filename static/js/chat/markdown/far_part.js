// Shows blocks that are far from the reader as plain text, which the browser's search finds. They are
// drawn, a few at a time, when the reader comes near.
import { onceNearViewport } from "../lib/viewport_observer.js";
import { roughHeight } from "../lib/plain_text.js";
import { runWhenIdle } from "../lib/idle_tasks.js";

const LONGEST_CHARS = 4_000;
// All blocks of a part are drawn when one comes near, and a block of a few characters has many nodes.
const MOST_BLOCKS = 48;
const SLICE_MS = 8;

/** @template One an added part */
export class FarPart {
  element = document.createElement("div");

  #text = document.createTextNode("");
  /** @type {One[]} parts that are not drawn yet */
  #waiting = [];
  #chars = 0;
  #count = 0;
  #draw;
  #isNear = false;
  #isDrawing = false;

  /**
   * @param {HTMLElement} scroller
   * @param {(one: One, element: HTMLElement) => void} draw draws an added part into the element
   */
  constructor(scroller, draw) {
    this.#draw = draw;
    this.element.className = "md-part md-far";
    this.element.append(this.#text);
    // Observe it only once it is on the page.
    runWhenIdle(() => onceNearViewport(this.element, scroller, () => this.#drawNow()));
  }

  get isFull() {
    return this.#chars >= LONGEST_CHARS || this.#count >= MOST_BLOCKS;
  }

  /**
   * @param {One} one
   * @param {string} raw
   */
  add(one, raw) {
    this.#waiting.push(one);
    this.#chars += raw.length;
    this.#count += 1;
    if (this.#isNear) this.#drawNow();
    else {
      this.#text.appendData(raw);
      this.element.style.containIntrinsicSize = `auto none auto ${roughHeight(this.#text.data)}px`;
    }
  }

  #drawNow() {
    this.#isNear = true;
    this.#text.remove();
    this.element.classList.remove("md-far");
    if (this.#isDrawing) return;
    this.#isDrawing = true;
    runWhenIdle(() => {
      const untilMs = performance.now() + SLICE_MS;
      while (this.#waiting.length > 0 && performance.now() < untilMs) this.#draw(/** @type {One} */ (this.#waiting.shift()), this.element);
      this.#isDrawing = this.#waiting.length > 0;
      return this.#isDrawing;
    });
  }
}
